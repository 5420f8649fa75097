/**
 * Calls between the supervisor and a worker, both ways over the worker's standard input and output:
 * one JSON object a line, `{id, call, argument}`, answered by `{id, result}` or `{id, error}`.
 */
import { RelayError } from "../errors.ts";

/** What the other side may call. Arguments and results are plain data. */
// deno-lint-ignore no-explicit-any -- each handler names its own argument's type
export type Handlers = Record<string, (argument: any) => unknown>;

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
}

/** A longer line is none of ours: a list of a hundred thousand keys has seven million characters. */
const MAX_LINE = 64 * 1024 * 1024;

/** The other side did not answer in time, or is gone. */
export class RpcError extends RelayError {}

/** One end of the calls. */
export class Rpc {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #handlers: Handlers;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #over = false;
  /** Settles when the other side's stream has ended. Never rejects. */
  readonly closed: Promise<void>;

  constructor(
    readable: ReadableStream<Uint8Array>,
    writable: WritableStream<Uint8Array>,
    handlers: Handlers,
  ) {
    this.#writer = writable.getWriter();
    this.#handlers = handlers;
    this.#writer.closed.catch(() => {});
    this.closed = this.#read(readable);
  }

  /**
   * Calls the other side.
   *
   * @throws RelayError what the other side threw; RpcError when it does not answer in time
   */
  call(name: string, argument: unknown, timeoutMs: number): Promise<unknown> {
    if (this.#over) return Promise.reject(new RpcError(`Cannot ask for ${name}: the worker ended`));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new RpcError(`Cannot wait for ${name}: no answer within ${timeoutMs / 1000} s`));
      }, timeoutMs);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#send({ id, call: name, argument });
    });
  }

  /** Ends the stream to the other side. */
  async close(): Promise<void> {
    await this.#writer.close().catch(() => {});
  }

  #send(message: unknown): void {
    this.#writer.write(new TextEncoder().encode(JSON.stringify(message) + "\n")).catch(() => {});
  }

  async #read(readable: ReadableStream<Uint8Array>): Promise<void> {
    try {
      let parts: string[] = [];
      let length = 0;
      for await (const chunk of readable.pipeThrough(new TextDecoderStream() as Decoder)) {
        const [first, ...rest] = chunk.split("\n");
        parts.push(first!);
        length += first!.length;
        if (length > MAX_LINE) break;
        for (const begin of rest) {
          this.#receive(parts.join(""));
          parts = [begin];
          length = begin.length;
        }
      }
    } catch {
      // The other side broke off.
    }
    this.#over = true;
    for (const [id, { reject, timer }] of this.#waiting) {
      clearTimeout(timer);
      this.#waiting.delete(id);
      reject(new RpcError("Cannot go on with a call: the worker ended"));
    }
  }

  #receive(line: string): void {
    let message: {
      id?: number;
      call?: string;
      argument?: unknown;
      result?: unknown;
      error?: { message: string; exitCode: 1 | 2 };
    };
    try {
      message = JSON.parse(line);
    } catch {
      return; // somebody printed to standard output
    }
    if (typeof message !== "object" || message === null || typeof message.id !== "number") return;
    if (typeof message.call === "string") {
      return void this.#answer(message.id, message.call, message.argument);
    }
    const waiting = this.#waiting.get(message.id);
    if (waiting === undefined) return;
    this.#waiting.delete(message.id);
    clearTimeout(waiting.timer);
    const { error } = message;
    if (error === undefined) waiting.resolve(message.result);
    else waiting.reject(new RelayError(error.message, error.exitCode));
  }

  async #answer(id: number, name: string, argument: unknown): Promise<void> {
    try {
      const handler = Object.hasOwn(this.#handlers, name) ? this.#handlers[name] : undefined;
      if (handler === undefined) throw new RelayError(`Cannot do ${name}: unknown call`);
      this.#send({ id, result: await handler(argument) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const exitCode = (error as { exitCode?: unknown }).exitCode === 2 ? 2 : 1;
      this.#send({ id, error: { message, exitCode } });
    }
  }
}

type Decoder = ReadableWritablePair<string, Uint8Array>;
