/**
 * Which certificate authorities are trusted.
 *
 * @module
 */

import { getBuiltinModule } from "node:process";
import { AgentError, reasonOf } from "../errors.ts";

const MAX_FILE = 4 * 1024 * 1024;

let system: string[] | undefined;

/**
 * The system's CAs, PEM each, read once when first asked for (some 150 certificates). None where the
 * runtime was started without the permission: it then trusts the list that it brings along.
 */
export function systemCaCertificates(): string[] {
  try {
    // Loaded here and not at the top: it costs start-up time that most commands need not pay.
    return system ??= [...getBuiltinModule("node:tls").getCACertificates("system")];
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return system = [];
    throw error;
  }
}

/**
 * The certificates of a PEM file, one string each; text around them is skipped. Throws `AgentError`
 * (exit code 2) with one sentence when the file is missing, unreadable or holds anything else.
 */
export async function readCaFile(path: string): Promise<string[]> {
  const fail = (reason: string) =>
    new AgentError(
      `Cannot use ${path} as a CA file: ${reason}; give a file of PEM certificates`,
      { exitCode: 2 },
    );
  let text: string;
  try {
    const { size, isDirectory } = await Deno.stat(path);
    if (isDirectory) throw fail("it is a directory");
    if (size > MAX_FILE) throw fail(`it has more than ${MAX_FILE} bytes`);
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    if (error instanceof Deno.errors.NotFound) throw fail("no such file");
    if (error instanceof Deno.errors.PermissionDenied) throw fail("permission denied");
    throw fail(reasonOf(error));
  }
  const blocks = text.match(/-----BEGIN [A-Z0-9 ]+-----[^]*?-----END [A-Z0-9 ]+-----/g) ?? [];
  if (blocks.length === 0) throw fail("it holds no PEM certificate");
  const { X509Certificate } = getBuiltinModule("node:crypto");
  return blocks.map((block, i) => {
    if (!block.startsWith("-----BEGIN CERTIFICATE-----")) {
      throw fail(`it holds a ${/BEGIN ([A-Z0-9 ]+)/.exec(block)![1]!.toLowerCase()}`);
    }
    try {
      new X509Certificate(block);
    } catch {
      throw fail(`its certificate ${i + 1} is malformed`);
    }
    return block + "\n";
  });
}
