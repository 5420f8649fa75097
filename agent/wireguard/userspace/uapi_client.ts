/**
 * One request to a WireGuard control socket and its answer: a connection each, bounded in time and
 * size. Nothing sent or received is ever logged: it holds keys.
 *
 * @module
 */

import { MAX_ANSWER, UapiError } from "./uapi.ts";

const TIMEOUT_MS = 5000;

/**
 * Sends `request` and returns the whole answer, up to and with its empty line. Throws
 * `Deno.errors.NotFound` (no such socket), `Deno.errors.ConnectionRefused` (nobody listens) or
 * {@linkcode UapiError} (no whole answer within `timeoutMs`, or one too large).
 */
export async function uapiRequest(
  path: string,
  request: string,
  timeoutMs: number = TIMEOUT_MS,
): Promise<string> {
  const conn = await Deno.connect({ transport: "unix", path });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    conn.close();
  }, timeoutMs);
  try {
    const bytes = new TextEncoder().encode(request);
    for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
    return await readAnswer(conn);
  } catch (error) {
    if (late) throw new UapiError(`No answer from ${path} within ${timeoutMs} ms`);
    throw error;
  } finally {
    clearTimeout(timer);
    if (!late) conn.close();
  }
}

async function readAnswer(conn: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(64 * 1024);
  let text = "";
  let size = 0;
  while (!text.endsWith("\n\n")) {
    const n = await conn.read(chunk);
    if (n === null) throw new UapiError("Control socket closed before the end of the answer");
    size += n;
    if (size > MAX_ANSWER) throw new UapiError(`Answer longer than ${MAX_ANSWER} bytes`);
    text += decoder.decode(chunk.subarray(0, n), { stream: true });
  }
  return text;
}
