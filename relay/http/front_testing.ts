/** For tests: a relay with a plain port, and HTTP read by hand. */
import { generatePrivateKey, publicKeyOf } from "../derp/mod.ts";
import { type Limits, RelayServer } from "../server/mod.ts";
import { Front, type FrontOptions, relayApp, Responder } from "./mod.ts";
import { testState } from "./testing.ts";

export const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
export const decode = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);

export function concat(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A relay on a plain port of loopback. */
export class PlainFront implements AsyncDisposable {
  readonly relay: RelayServer;
  readonly front: Front;
  readonly responder: Responder;
  readonly port: number;
  readonly publicKey: Uint8Array;

  constructor(limits: Partial<Limits> = {}, options: FrontOptions = {}) {
    const privateKey = generatePrivateKey();
    this.publicKey = publicKeyOf(privateKey);
    const identity = { privateKey, publicKey: this.publicKey };
    this.relay = new RelayServer(identity, { sweepMs: 10, drainMs: 50, ...limits });
    const app = relayApp(testState({ check: () => this.relay.registry.check() }));
    this.responder = new Responder(app, this.relay.limits, this.relay.sweep);
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, reusePort: true });
    this.port = (listener.addr as Deno.NetAddr).port;
    this.front = new Front(listener, this.relay, this.responder, options);
  }

  async connect(): Promise<Deno.TcpConn> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    conn.setNoDelay(true);
    return conn;
  }

  /** A connection on which `request` has been said. */
  async ask(request: string | Uint8Array): Promise<Deno.TcpConn> {
    const conn = await this.connect();
    await send(conn, typeof request === "string" ? encode(request) : request);
    return conn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.front.stop();
    await this.relay.close();
  }
}

/** Writes all of `bytes`. */
export async function send(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** All that comes until the stream ends, in whatever way. */
export async function readAll(conn: Deno.Conn): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(65536);
  for (;;) {
    const n = await conn.read(buffer).catch(() => null);
    if (n === null) return concat(...chunks);
    chunks.push(buffer.slice(0, n));
  }
}

/** What comes until a head is whole, what came behind it, and the reads that took. */
export async function readHead(
  conn: Deno.Conn,
): Promise<{ head: string; rest: Uint8Array; n: number }> {
  let all: Uint8Array = new Uint8Array(0);
  const buffer = new Uint8Array(65536);
  for (let n = 1;; n++) {
    const got = await conn.read(buffer);
    if (got === null) throw new Error(`end of stream after "${decode(all)}"`);
    all = concat(all, buffer.subarray(0, got));
    const end = decode(all).indexOf("\r\n\r\n");
    if (end >= 0) return { head: decode(all.subarray(0, end + 4)), rest: all.subarray(end + 4), n };
  }
}

/** One whole answer, its body by the length it names or by its chunks; nothing may follow it. */
export async function readAnswer(conn: Deno.Conn): Promise<{ head: string; body: string }> {
  const { head, rest } = await readHead(conn);
  let body = decode(rest);
  const length = /\r\ncontent-length: (\d+)/i.exec(head);
  const chunked = /\r\ntransfer-encoding: chunked/i.test(head);
  const whole = () =>
    chunked ? body.endsWith("0\r\n\r\n") : body.length >= Number(length?.[1] ?? 0);
  const buffer = new Uint8Array(65536);
  while (!whole()) {
    const n = await conn.read(buffer);
    if (n === null) throw new Error(`end of stream after "${body}"`);
    body += decode(buffer.subarray(0, n));
  }
  return { head, body };
}
