/**
 * A TLS port for the seconds of a TLS-ALPN-01 validation: who comes for the challenge gets it, all
 * others get the usual TLS, their connections piped to a listener inside.
 *
 * @module
 */

import type { AlpnChallenge } from "../options.ts";
import { type ClientHello, readClientHello } from "./client_hello.ts";
import { ACME_TLS, serverFlight } from "./responder.ts";

/** A client that says nothing is let go after this. */
const HELLO_MS = 10_000;
/** Connections that have not said hello yet; with one more the oldest is let go. */
const MAX_UNFINISHED = 512;
const MAX_PEEK = 17_000;
/** Longest time between the two ends of a connection within this process. */
const STRANGER_MS = 1_000;
/** What was written last has this long to get from the one end to the other. */
const LINGER_MS = 1_000;

/** Where to listen and what to serve. */
export interface AlpnGateOptions {
  hostname: string;
  port: number;
  reusePort?: boolean;
  challenge: AlpnChallenge;
  /** What all others get; undefined while there is no certificate: they are let go. */
  tls?: { cert: string; key: string; alpnProtocols?: string[] } | undefined;
  /** Connections that have not said hello yet. Default: 512 */
  unfinished?: number;
}

/** A client on its way to the inner listener. */
interface Client {
  address: Deno.NetAddr;
  /** Its connection within has been closed. */
  closed(): void;
}

/**
 * Opens a listener that stands in for the one of `Deno.listenTls` while a CA validates: it accepts
 * the same connections, with the remote addresses of the real clients.
 *
 * Streams accepted from it live on when it is closed; those clients that were about to say hello are
 * still accepted, until the iterator ends.
 *
 * @throws as `Deno.listen` and `Deno.listenTls`
 */
export function openAlpnGate(options: AlpnGateOptions): AlpnGate {
  return new AlpnGate(options);
}

/** See {@linkcode openAlpnGate}. */
export class AlpnGate implements AsyncIterable<Deno.TlsConn>, Disposable {
  readonly addr: Deno.NetAddr;
  /** Challenges served. */
  answered = 0;
  readonly #outer: Deno.TcpListener;
  readonly #inner: Deno.TlsListener | undefined;
  readonly #challenge: AlpnChallenge;
  readonly #maxUnfinished: number;
  /** By port of our own connection to the inner listener. */
  readonly #clients = new Map<number, Client>();
  /** Connections at the inner listener whose client is not known yet, by the same port. */
  readonly #inside = new Map<number, Deno.TlsConn>();
  readonly #ready: Deno.TlsConn[] = [];
  #waiting: PromiseWithResolvers<void> | undefined;
  readonly #unfinished = new Set<Deno.TcpConn>();
  #closed = false;
  #ended = false;

  constructor(options: AlpnGateOptions) {
    const { hostname, port, reusePort = false, challenge, tls } = options;
    this.#challenge = challenge;
    this.#maxUnfinished = options.unfinished ?? MAX_UNFINISHED;
    this.#outer = Deno.listen({ hostname, port, reusePort });
    this.addr = this.#outer.addr;
    try {
      if (tls !== undefined) {
        this.#inner = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...tls });
      }
    } catch (error) {
      this.#outer.close();
      throw error;
    }
    void this.#take();
    if (this.#inner !== undefined) void this.#takeInside(this.#inner);
  }

  /** The next client that did not come for the challenge. */
  async accept(): Promise<Deno.TlsConn> {
    for (;;) {
      const conn = this.#ready.shift();
      if (conn !== undefined) return conn;
      if (this.#ended) throw new Deno.errors.BadResource("Listener has been closed");
      await (this.#waiting ??= Promise.withResolvers()).promise;
    }
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Deno.TlsConn> {
    for (;;) {
      let conn: Deno.TlsConn;
      try {
        conn = await this.accept();
      } catch {
        return; // closed
      }
      yield conn;
    }
  }

  /** Stops listening; see {@linkcode openAlpnGate} for what lives on. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#outer.close();
    this.#endIfIdle();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #take(): Promise<void> {
    for (;;) {
      let conn: Deno.TcpConn;
      try {
        conn = await this.#outer.accept();
      } catch (error) {
        if (this.#closed || error instanceof Deno.errors.BadResource) return;
        // Out of descriptors, most likely: a moment later there may be one.
        await new Promise((resolve) => setTimeout(resolve, 50));
        continue;
      }
      void this.#meet(conn);
      if (this.#unfinished.size <= this.#maxUnfinished) continue;
      for (const oldest of this.#unfinished) {
        this.#unfinished.delete(oldest);
        tryClose(oldest);
        break;
      }
    }
  }

  async #takeInside(inner: Deno.TlsListener): Promise<void> {
    try {
      for await (const conn of inner) {
        const { port } = conn.remoteAddr as Deno.NetAddr;
        this.#inside.set(port, conn);
        this.#match(port);
        setTimeout(() => {
          // Nobody of ours: some other program of this host.
          if (this.#inside.get(port) === conn && this.#inside.delete(port)) tryClose(conn);
        }, STRANGER_MS);
      }
    } catch {
      // Closed.
    }
  }

  /** The two ends of a connection to the inner listener are seen in any order. */
  #match(port: number): void {
    const conn = this.#inside.get(port);
    const client = this.#clients.get(port);
    if (conn === undefined || client === undefined) return;
    this.#inside.delete(port);
    this.#clients.delete(port);
    Object.defineProperty(conn, "remoteAddr", { value: client.address });
    // A close within the TLS handshake would leave its socket open, and the client waiting.
    const { close } = conn;
    conn.close = () => {
      client.closed();
      close.call(conn);
    };
    this.#ready.push(conn);
    this.#rouse();
    this.#endIfIdle();
  }

  #rouse(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  /** Reads a client's hello and leads it to where it belongs. */
  async #meet(conn: Deno.TcpConn): Promise<void> {
    this.#unfinished.add(conn);
    const timer = setTimeout(() => tryClose(conn), HELLO_MS);
    try {
      const { first, hello } = await peek(conn);
      if (hello?.protocols.length === 1 && hello.protocols[0] === ACME_TLS) {
        await this.#answer(conn, hello);
      } else if (this.#inner !== undefined) {
        clearTimeout(timer);
        await this.#pass(conn, first, this.#inner.addr);
      }
    } catch {
      // It hung up, or was nobody's client.
    } finally {
      clearTimeout(timer);
      tryClose(conn);
      this.#settled(conn);
    }
  }

  async #answer(conn: Deno.TcpConn, hello: ClientHello): Promise<void> {
    await writeAll(conn, serverFlight(hello, this.#challenge));
    this.answered++;
    const room = new Uint8Array(4096);
    for (let left = MAX_PEEK; left > 0;) {
      const count = await conn.read(room); // its Finished, and that it hangs up
      if (count === null) return;
      left -= count;
    }
  }

  async #pass(conn: Deno.TcpConn, first: Uint8Array, to: Deno.NetAddr): Promise<void> {
    const inner = await Deno.connect({ hostname: to.hostname, port: to.port });
    let lingering: ReturnType<typeof setTimeout> | undefined;
    try {
      const { port } = inner.localAddr as Deno.NetAddr;
      const closed = () => {
        lingering ??= setTimeout(() => {
          tryClose(inner);
          tryClose(conn);
        }, LINGER_MS);
      };
      this.#clients.set(port, { address: conn.remoteAddr as Deno.NetAddr, closed });
      this.#unfinished.delete(conn);
      this.#match(port);
      conn.setNoDelay(true);
      inner.setNoDelay(true);
      await writeAll(inner, first);
      await Promise.allSettled([
        conn.readable.pipeTo(inner.writable),
        inner.readable.pipeTo(conn.writable),
      ]);
      if (this.#clients.delete(port)) this.#endIfIdle();
    } finally {
      clearTimeout(lingering);
      tryClose(inner);
    }
  }

  #settled(conn: Deno.TcpConn): void {
    this.#unfinished.delete(conn);
    this.#endIfIdle();
  }

  /** When nobody is at the door any more, the inner listener ends, and so does the iterator. */
  #endIfIdle(): void {
    if (!this.#closed || this.#ended || this.#unfinished.size + this.#clients.size > 0) return;
    this.#ended = true;
    this.#inner?.close();
    this.#rouse();
  }
}

/** Reads until the hello is whole; `hello` is undefined for what is none. */
async function peek(
  conn: Deno.TcpConn,
): Promise<{ first: Uint8Array; hello: ClientHello | undefined }> {
  const room = new Uint8Array(MAX_PEEK);
  let length = 0;
  for (;;) {
    const count = await conn.read(room.subarray(length));
    if (count === null) throw new Deno.errors.UnexpectedEof("Cannot read ClientHello: hung up");
    const first = room.subarray(0, length += count);
    try {
      const hello = readClientHello(first);
      if (hello !== undefined) return { first, hello };
    } catch {
      return { first, hello: undefined };
    }
    if (length === MAX_PEEK) return { first, hello: undefined };
  }
}

async function writeAll(conn: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let rest = data; rest.length > 0;) rest = rest.subarray(await conn.write(rest));
}

function tryClose(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // Closed by the other end, or by a pipe.
  }
}
