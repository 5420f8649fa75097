/**
 * Everything that is not DERP goes, byte by byte, to a full HTTP server inside this process.
 *
 * That server listens on a loopback port of its own and knows a connection by the port it comes
 * from, which tells the real client's address; a connection from any other port is refused, so
 * nothing on the host can pretend to be somebody else.
 */
import type { Limits, Sweep } from "../server/mod.ts";
import type { RequestEnv } from "./app.ts";

/** The side of an application that this needs. */
export interface Fetcher {
  fetch(request: Request, env: RequestEnv): Response | Promise<Response>;
}

const BUSY =
  "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/** The inner HTTP server and the streams that lead to it. */
export class Splicer {
  readonly #limits: Limits;
  readonly #sweep: Sweep;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  /** Loopback port of a stream to the inner server, and whose stream it is. */
  readonly #clients = new Map<number, string>();
  readonly #open = new Set<() => void>();

  constructor(app: Fetcher, limits: Limits, sweep: Sweep) {
    this.#limits = limits;
    this.#sweep = sweep;
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request, info) => {
        const remoteAddress = this.#clients.get((info.remoteAddr as Deno.NetAddr).port);
        if (remoteAddress === undefined) return new Response(null, { status: 403 });
        return app.fetch(request, { remoteAddress });
      },
    );
  }

  /** Streams open now. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * Hands a client's stream over: `read` is what has been read of it already. Resolves when the
   * stream has ended; never rejects.
   */
  async splice(socket: Deno.Conn, remoteAddress: string, read: Uint8Array): Promise<void> {
    let inner: Deno.TcpConn | undefined;
    const end = () => {
      close(socket);
      if (inner !== undefined) close(inner);
    };
    if (this.#open.size >= this.#limits.httpConnections) {
      await writeAll(socket, new TextEncoder().encode(BUSY)).catch(() => {});
      return end();
    }
    this.#open.add(end);
    let port: number | undefined;
    try {
      inner = await Deno.connect({ hostname: "127.0.0.1", port: this.#server.addr.port });
      inner.setNoDelay(true);
      port = inner.localAddr.port;
      this.#clients.set(port, remoteAddress);
      await writeAll(inner, read);
      const idle = new IdleLimit(this.#sweep, this.#limits.httpIdleMs, end);
      await Promise.all([
        pump(socket, inner, idle).then(() => inner!.closeWrite(), end),
        pump(inner, socket, idle).finally(end),
      ]);
      idle.end();
    } catch {
      // One side ended the stream.
    }
    end();
    this.#open.delete(end);
    if (port !== undefined) this.#clients.delete(port);
  }

  /** Ends all streams and the inner server. */
  async close(): Promise<void> {
    for (const end of this.#open) end();
    await this.#server.shutdown();
  }
}

/** Ends a stream that stays silent; activity costs one assignment. */
class IdleLimit {
  active = false;
  #deadline: { end(): void };

  constructor(sweep: Sweep, ms: number, expired: () => void) {
    const wait = () => {
      this.active = false;
      return sweep.deadline(ms, () => {
        if (this.active) this.#deadline = wait();
        else expired();
      });
    };
    this.#deadline = wait();
  }

  end(): void {
    this.#deadline.end();
  }
}

async function pump(from: Deno.Conn, to: Deno.Conn, idle: IdleLimit): Promise<void> {
  const buffer = new Uint8Array(16 * 1024);
  for (;;) {
    const n = await from.read(buffer);
    if (n === null) return;
    idle.active = true;
    await writeAll(to, buffer.subarray(0, n));
  }
}

/** Writes all of `bytes`. */
export async function writeAll(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}

function close(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch {
    // Closed before.
  }
}
