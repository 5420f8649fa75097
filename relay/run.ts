/**
 * `nexd relayderp`: from flags to a running relay, and what it says to the operator.
 */
import { type Certificate, ensureSelfSigned, loadManual } from "./cert/mod.ts";
import { RelayError } from "./errors.ts";
import { loadServerKey } from "./key_file.ts";
import { parseHostPort } from "./net/mod.ts";
import { type Relay, startRelay } from "./relay.ts";

/** Values of the flags, by name. */
export type Values = Record<string, string | number | boolean | string[] | undefined>;

/** What the command line gives a command. */
export interface CommandContext {
  json: boolean;
  print(line: string): void;
  signal: AbortSignal;
  version: string;
}

/** Certificates are kept here unless `--certdir` says otherwise. */
const DEFAULT_CERT_DIR = "/var/lib/nexd/certs";

const DEV_PORT = 3340;

/**
 * Runs the relay until the signal aborts.
 *
 * @throws an error with `exitCode` for anything the operator can mend
 */
export async function runRelay(values: Values, context: CommandContext): Promise<void> {
  const dev = values.dev === true;
  const hostname = text(values.hostname) ?? "relay.nexodus.io";
  const certmode = dev ? "none" : text(values.certmode) ?? "letsencrypt";
  const certdir = text(values.certdir) ?? DEFAULT_CERT_DIR;
  const addr = dev
    ? { hostname: "", port: DEV_PORT }
    : parseHostPort(text(values.addr) ?? ":443", 443);
  const stunPort = values.stun === false ? undefined : port(values, "stun-port", 3478);
  const httpPort = dev || values["http-port"] === -1 ? undefined : port(values, "http-port", 80);

  const privateKey = dev ? undefined : await loadServerKey(text(values.c));
  const loaded = await certificateFor(certmode, certdir, hostname);
  const relay = await startRelay({
    addr,
    privateKey,
    certificate: loaded?.certificate,
    httpPort,
    stunPort,
    version: context.version,
  });
  try {
    announce(relay, { hostname, certmode, caPath: loaded?.caPath }, context);
    await aborted(context.signal);
  } finally {
    await relay.close();
  }
}

function text(value: Values[string]): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function port(values: Values, name: string, fallback: number): number {
  const value = values[name] ?? fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 65535) {
    throw new RelayError(`Cannot use --${name} ${value}: not a port; give 0 to 65535`, 2);
  }
  return value;
}

async function certificateFor(
  mode: string,
  directory: string,
  hostname: string,
): Promise<{ certificate: Certificate; caPath?: string } | undefined> {
  switch (mode) {
    case "none":
      return undefined;
    case "manual":
      return { certificate: await loadManual(directory, hostname) };
    case "selfsigned": {
      const made = await ensureSelfSigned(directory, [hostname]);
      return { certificate: made, caPath: made.caPath };
    }
    case "letsencrypt":
      throw new RelayError(
        "Cannot use --certmode letsencrypt: this version has no ACME client; use manual or " +
          "selfsigned",
        2,
      );
    default:
      throw new RelayError(`Cannot use --certmode ${mode}: use manual or selfsigned`, 2);
  }
}

function announce(
  relay: Relay,
  how: { hostname: string; certmode: string; caPath: string | undefined },
  context: CommandContext,
): void {
  const { address } = relay;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  const listening = `${host}:${address.port}`;
  if (context.json) {
    context.print(JSON.stringify({
      listening,
      http_port: relay.httpPort,
      stun: relay.stunPort,
      public_key: relay.publicKey,
      hostname: how.hostname,
      certmode: how.certmode,
      ca: how.caPath,
    }));
    return;
  }
  const scheme = how.certmode === "none" ? "plain HTTP" : "TLS";
  context.print(`Relay ${how.hostname} serves DERP on ${listening} (${scheme})`);
  context.print(`  public key  ${relay.publicKey}`);
  if (relay.stunPort !== undefined) context.print(`  STUN        UDP port ${relay.stunPort}`);
  if (relay.httpPort !== undefined) context.print(`  plain HTTP  port ${relay.httpPort}`);
  if (how.caPath !== undefined) {
    context.print(`Its certificate is signed by a private CA of its own: ${how.caPath}`);
    context.print(`Copy that file to each host and start nexd there with`);
    context.print(
      `  nexd --relay-ca ${how.caPath.split("/").at(-1)} --public-relay ${how.hostname}` +
        (address.port === 443 ? "" : `:${address.port}`),
    );
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
