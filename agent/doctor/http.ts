/**
 * One question over HTTP/1.1, with a socket in hand: how long the answer takes is what is asked.
 *
 * @module
 */
import { systemCaCertificates } from "../platform/mod.ts";

/** How long one question may take, ms. */
const LIMIT = 4_000;
/** Most bytes of an answer's head. */
const MAX_HEAD = 8 << 10;

/** An open connection with a time limit on all of it. */
export async function limited<T>(
  open: () => Promise<Deno.Conn>,
  use: (conn: Deno.Conn) => Promise<T>,
): Promise<T> {
  let conn: Deno.Conn | undefined, over = false;
  const close = () => {
    over = true;
    try {
      conn?.close();
    } catch { /* closed already */ }
  };
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    close();
    reject(new Error(`no answer in ${LIMIT / 1000} s`));
  }, LIMIT);
  promise.catch(() => {});
  try {
    const opening = open().then((opened) => {
      conn = opened;
      if (over) close();
      return opened;
    });
    opening.catch(() => {});
    return await Promise.race([promise, opening.then(use)]);
  } finally {
    clearTimeout(timer);
    close();
  }
}

/** Sends a GET and returns the answer's head: status line and header lines. */
export async function get(
  conn: Deno.Conn,
  host: string,
  path: string,
  header = "",
): Promise<string> {
  const name = host.includes(":") ? `[${host}]` : host;
  const request = `GET ${path} HTTP/1.1\r\nHost: ${name}\r\n${header}User-Agent: nexd\r\n\r\n`;
  await conn.write(new TextEncoder().encode(request));
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  for (let head = ""; head.length < MAX_HEAD;) {
    const n = await conn.read(buffer);
    if (n === null) throw new Error("it closed the connection");
    head += decoder.decode(buffer.subarray(0, n), { stream: true });
    const end = head.indexOf("\r\n\r\n");
    if (end >= 0) return head.slice(0, end);
  }
  throw new Error("its answer is no HTTP");
}

/** Whether a failure to connect is about the certificate. */
export function isAboutCertificate(reason: string): boolean {
  return /certificate|UnknownIssuer|CaUsedAsEndEntity|NotValidForName/i.test(reason);
}

/** The status of an answer's head. */
export function statusOf(head: string): number | undefined {
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1];
  return status === undefined ? undefined : Number(status);
}

/** A verified TLS connection, trusting the system's CAs and the given ones (PEM). */
export function openTls(
  hostname: string,
  port: number,
  caCerts: readonly string[],
): Promise<Deno.Conn> {
  return Deno.connectTls({
    hostname,
    port,
    caCerts: [...systemCaCertificates(), ...caCerts],
    alpnProtocols: ["http/1.1"],
  });
}
