/**
 * The relay's listener: takes connections, reads each one's request head, and decides whether it
 * becomes a DERP stream or goes to the HTTP server inside.
 */
import { getLogger } from "@logtape/logtape";
import { MAX_HEAD, type RelayServer, SMALL_READ } from "../server/mod.ts";
import { headEnd, HeadError, parseHead, wantsDerp } from "./head.ts";
import { type Splicer, writeAll } from "./splice.ts";

const logger = getLogger(["nexd", "relay"]);

const REASONS = {
  400: "Bad Request",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
  505: "HTTP Version Not Supported",
} as const;

/** How long to wait after a failed accept, e.g. when the process has no descriptor left. */
const ACCEPT_PAUSE_MS = 50;

/** A head and all that was read with it. */
interface Peeked {
  bytes: Uint8Array;
  headEnd: number;
}

export class Front {
  readonly #listener: Deno.Listener;
  readonly #relay: RelayServer;
  readonly #splicer: Splicer;
  #closed = false;
  /** Connections whose head is being read. */
  readonly #reading = new Set<Deno.Conn>();
  readonly done: Promise<void>;

  constructor(listener: Deno.Listener, relay: RelayServer, splicer: Splicer) {
    this.#listener = listener;
    this.#relay = relay;
    this.#splicer = splicer;
    this.done = this.#acceptLoop();
  }

  async #acceptLoop(): Promise<void> {
    while (!this.#closed) {
      let socket: Deno.Conn;
      try {
        socket = await this.#listener.accept();
      } catch (error) {
        if (this.#closed) return;
        logger.warn("Cannot accept a connection: {error}", { error: String(error) });
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
        continue;
      }
      this.#relay.counters.tlsAccepted += 1;
      void this.#serve(socket);
    }
  }

  async #serve(socket: Deno.Conn): Promise<void> {
    this.#reading.add(socket);
    let peeked: Peeked | undefined;
    try {
      peeked = await this.#peek(socket);
    } catch (error) {
      // A failed handshake, a reset, or a head too long.
      if (error instanceof HeadError) await refuse(socket, error);
    } finally {
      this.#reading.delete(socket);
    }
    if (peeked === undefined || this.#closed) return close(socket);
    const { hostname, port } = socket.remoteAddr as Deno.NetAddr;
    let head;
    try {
      head = parseHead(peeked.bytes.subarray(0, peeked.headEnd));
    } catch (error) {
      if (error instanceof HeadError) await refuse(socket, error);
      return close(socket);
    }
    if (!wantsDerp(head)) return void this.#splicer.splice(socket, hostname, peeked.bytes);
    void this.#relay.accept(socket, {
      initial: peeked.bytes.subarray(peeked.headEnd),
      fastStart: head.headers.get("derp-fast-start") === "1",
      notIdeal: (head.headers.get("ideal-node") ?? "") !== "",
      remote: `${hostname}:${port}`,
    });
  }

  /** Reads until the head is whole. Undefined when the stream ended or the time was up. */
  async #peek(socket: Deno.Conn): Promise<Peeked | undefined> {
    const deadline = this.#relay.sweep.deadline(this.#relay.limits.headMs, () => {
      this.#relay.counters.headTimeouts += 1;
      socket.close();
    });
    try {
      let buffer = new Uint8Array(SMALL_READ);
      let end = 0;
      for (;;) {
        const n = await socket.read(buffer.subarray(end));
        if (n === null) return undefined;
        const found = headEnd(buffer, end + n, end);
        end += n;
        if (found !== undefined) return { bytes: buffer.subarray(0, end), headEnd: found };
        if (end >= MAX_HEAD) throw new HeadError(431, "head too long");
        if (end === buffer.length) {
          const grown = new Uint8Array(Math.min(MAX_HEAD, 2 * end));
          grown.set(buffer);
          buffer = grown;
        }
      }
    } finally {
      deadline.end();
    }
  }

  /** Takes no more connections; those with an unfinished head end. */
  async stop(): Promise<void> {
    this.#closed = true;
    this.#listener.close();
    for (const socket of this.#reading) close(socket);
    await this.done;
  }
}

async function refuse(socket: Deno.Conn, error: HeadError): Promise<void> {
  const status = `${error.status} ${REASONS[error.status]}`;
  const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
    `Connection: close\r\n\r\n${status}`;
  await writeAll(socket, new TextEncoder().encode(head)).catch(() => {});
}

function close(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch {
    // Closed before.
  }
}
