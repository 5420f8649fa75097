/**
 * Connections of `node:net` in the shape of the runtime's own. Named pipes of Windows can be had in
 * no other way; the tests run it over unix sockets, which are the same to `node:net`.
 *
 * @module
 */
import { connect, createServer, type Socket } from "node:net";
import type { LocalConn, LocalListener } from "./local.ts";

/** A server makes its next instance of a pipe only after a client took the last: a client asks again. */
const BUSY_TRIES = 20, BUSY_PAUSE = 50;

/** The system's error, by its code; a pipe's "busy" is told by its number alone (231). */
const isBusy = (error: unknown) => codeOf(error) === "EBUSY" || /\b231\b/.test(String(error));
const codeOf = (error: unknown) => (error as { code?: unknown } | null)?.code;

/** Connects to a pipe. Rejects with `Deno.errors.PermissionDenied` where this user may not. */
export async function connectPipe(path: string): Promise<LocalConn> {
  for (let attempt = 1;; attempt++) {
    const socket = connect({ path });
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once("connect", resolve).once("error", reject);
      });
      return new PipeConn(socket);
    } catch (error) {
      socket.destroy();
      if (isBusy(error) && attempt < BUSY_TRIES) {
        await new Promise((done) => setTimeout(done, BUSY_PAUSE));
        continue;
      }
      if (["EACCES", "EPERM"].includes(String(codeOf(error)))) {
        throw new Deno.errors.PermissionDenied(String(error), { cause: error });
      }
      throw error;
    }
  }
}

/** Accepts connections on a pipe. Rejects when it cannot be made. */
export async function listenPipe(path: string): Promise<LocalListener> {
  const waiting: Socket[] = [];
  let wake = Promise.withResolvers<void>();
  let closed = false;
  const server = createServer((socket) => {
    waiting.push(socket);
    wake.resolve();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  return {
    async *[Symbol.asyncIterator]() {
      while (!closed) {
        for (let socket; (socket = waiting.shift()) !== undefined;) yield new PipeConn(socket);
        if (closed) return;
        await wake.promise;
        wake = Promise.withResolvers();
      }
    },
    close() {
      closed = true;
      server.close();
      for (const socket of waiting.splice(0)) socket.destroy();
      wake.resolve();
    },
  };
}

class PipeConn implements LocalConn {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    // Whoever reads or writes hears of it; an error without a listener would end the process.
    socket.on("error", () => {});
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) return null;
      this.#rest = value;
    }
    const part = this.#rest.subarray(0, buffer.length);
    buffer.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      // A copy: the caller may use its buffer again before the system has taken it.
      this.#socket.write(
        bytes.slice(),
        (error) => error ? reject(error) : resolve(bytes.length),
      );
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
