/**
 * A request's body (RFC 9112 section 6), read from its connection as somebody asks for it.
 */
import { ChunkedBody } from "./chunked.ts";
import type { Framing } from "./head.ts";
import type { RequestInput } from "./input.ts";

/** A body that nobody wants is read up to this, so that the connection can be kept. */
const MAX_SKIPPED = 256 * 1024;

export class RequestBody {
  readonly #input: RequestInput;
  readonly #chunked: ChunkedBody | undefined;
  /** Bytes that have not come; without a length, none or any number. */
  #left: number;
  /** Bytes that have come, with those around chunks. */
  #taken = 0;
  /** Pieces of one read, of a chunked body. */
  #pieces: Uint8Array[] = [];

  constructor(input: RequestInput, framing: Framing) {
    this.#input = input;
    if (framing.kind === "chunked") {
      this.#chunked = new ChunkedBody((bytes) => void this.#pieces.push(bytes));
    }
    this.#left = framing.kind === "length" ? framing.length : 0;
  }

  /** All of it has come. */
  get done(): boolean {
    return this.#chunked?.done ?? this.#left === 0;
  }

  /**
   * The body for an application. Nothing is read before somebody does, and no more than is read.
   *
   * @param before done once before the first byte is waited for
   */
  stream(before?: () => Promise<void>): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        await before?.();
        before = undefined;
        const pieces = await this.#next();
        if (pieces === undefined) controller.error(new Error("the body is damaged or cut short"));
        // What stands in the input's buffer is overwritten by the next read.
        else for (const piece of pieces) controller.enqueue(piece.slice());
        if (this.done) controller.close();
      },
    }, { highWaterMark: 0 });
  }

  /** Reads past what is left. False when the end was not found: then nothing more can be read. */
  async skip(): Promise<boolean> {
    if (this.#left > MAX_SKIPPED) return false;
    const until = this.#taken + MAX_SKIPPED;
    while (!this.done) {
      if (await this.#next() === undefined || this.#taken > until) return false;
    }
    return true;
  }

  /** What comes next, with bytes in it or the end behind it; undefined when that cannot be. */
  async #next(): Promise<Uint8Array[] | undefined> {
    while (!this.done) {
      const bytes = await this.#input.some();
      if (bytes === undefined) return undefined;
      if (this.#chunked === undefined) {
        const piece = bytes.subarray(0, this.#left);
        this.#left -= piece.length;
        this.#take(piece.length);
        return [piece];
      }
      this.#take(this.#chunked.push(bytes, 0, bytes.length));
      if (this.#chunked.bad) return undefined;
      if (this.#pieces.length > 0) return this.#pieces.splice(0);
    }
    return [];
  }

  #take(count: number): void {
    this.#taken += count;
    this.#input.consume(count);
  }
}
