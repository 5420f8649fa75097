/**
 * `--ca sha256:…`: the CA of a control plane, fetched from the control plane itself and checked against
 * the fingerprint that came on another way. So one line is all that a host needs to join.
 *
 * @module
 */
import { getBuiltinModule } from "node:process";
import { chunksOf, unverifiedTransport } from "../../api/mod.ts";
import { AgentError, reasonOf, usageError } from "../../errors.ts";
import { ensureStateDir, readPrivate, writePrivate } from "../store/files.ts";

/** Where a control plane has its CA. */
const CA_PATH = "/ca.crt";

/** A certificate or a few; bytes. */
const MAX_SIZE = 64 * 1024;

/** Until all of it is here, ms. */
const FETCH_MS = 15_000;

/**
 * The fingerprint that a `--ca` names, 64 hex digits in lower case; undefined when it names a file.
 *
 * @throws {AgentError} exit code 2, for a fingerprint that is none
 */
export function readFingerprint(ca: string): string | undefined {
  if (!/^sha256:/i.test(ca)) return undefined;
  const hex = ca.slice(7).replaceAll(":", "").toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  throw usageError(`--ca ${ca.slice(0, 100)}: a fingerprint has 64 hex digits; copy it again`);
}

/**
 * The CA with a fingerprint: the one kept in the state directory, else the control plane's, which is
 * kept then. Until it is known nothing secret is sent anywhere.
 *
 * @param apiUrl the API host
 * @param fingerprint of the certificate by SHA-256, 64 hex digits in lower case
 * @throws {AgentError} when it cannot be fetched, or is another one
 */
export async function pinnedCa(
  apiUrl: URL,
  fingerprint: string,
  stateDir: string,
): Promise<string[]> {
  const path = `${stateDir}/${fileOf(fingerprint)}`;
  const kept = matching(await readPrivate(path, MAX_SIZE) ?? "", fingerprint);
  if (kept !== undefined) return [kept];
  const url = new URL(CA_PATH, apiUrl);
  const found = matching(await fetchText(url), fingerprint);
  if (found === undefined) {
    throw new AgentError(
      `The CA at ${url} is not the one of --ca sha256:${fingerprint}; take the command from the ` +
        "control plane's own output again, and check that this host reaches it and nobody else",
    );
  }
  await ensureStateDir(stateDir);
  await writePrivate(path, found);
  return [found];
}

/** Most kept CAs that are read. */
const MAX_KEPT = 16;

/**
 * The CAs that were checked against fingerprints and are kept in the state directory, for commands that
 * look at the network after the agent has joined; none where they cannot be read.
 */
export async function keptCas(stateDir: string): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const { name } of Deno.readDir(stateDir)) {
      const [, start] = /^ca-([0-9a-f]{16})\.pem$/.exec(name) ?? [];
      if (start === undefined || found.length === MAX_KEPT) continue;
      const kept = matching(await readPrivate(`${stateDir}/${name}`, MAX_SIZE) ?? "", start);
      if (kept !== undefined) found.push(kept);
    }
  } catch {
    // Another user's, or nothing was ever kept.
  }
  return found;
}

function fileOf(fingerprint: string): string {
  return `ca-${fingerprint.slice(0, 16)}.pem`;
}

/** The certificate whose fingerprint starts so among those of a PEM text. */
function matching(pem: string, fingerprint: string): string | undefined {
  const { X509Certificate } = getBuiltinModule("node:crypto");
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)?.find((block) => {
    try {
      const { fingerprint256 } = new X509Certificate(block);
      return fingerprint256.replaceAll(":", "").toLowerCase().startsWith(fingerprint);
    } catch {
      return false;
    }
  })?.concat("\n");
}

async function fetchText(url: URL): Promise<string> {
  const transport = unverifiedTransport();
  const signal = AbortSignal.timeout(FETCH_MS);
  const decoder = new TextDecoder();
  let text = "";
  try {
    const { status, body } = await transport.send(url, { method: "GET", headers: {}, signal });
    if (status !== 200 || body === null) {
      await body?.cancel();
      throw new Error(`it answered ${status}, so it has no CA of its own: leave out --ca`);
    }
    for await (const chunk of chunksOf(body, signal)) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > MAX_SIZE) throw new Error("it sends more than a certificate");
    }
  } catch (error) {
    throw new AgentError(`Cannot get the CA from ${url}: ${reasonOf(error)}`);
  } finally {
    transport.close();
  }
  return text;
}
