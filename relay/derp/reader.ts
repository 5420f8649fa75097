import { HEADER_LENGTH } from "./constants.ts";
import { DerpError } from "./error.ts";
import { payloadLength } from "./frames.ts";

/** A frame read from the stream. */
export interface Frame {
  /** The type byte, known or not. */
  type: number;
  /** The payload: a copy that the receiver owns. */
  payload: Uint8Array;
}

/**
 * Cuts a DERP byte stream into frames, however the stream was cut into chunks.
 *
 * The simple reference: it copies what it is given. For logins and tests; the packet path walks
 * its own buffer instead. It holds at most one unfinished frame and what was pushed behind it, so
 * whoever pushes must take frames out before pushing more.
 *
 * @example
 * ```ts
 * const reader = new FrameReader(1024);
 * reader.push(Uint8Array.of(6, 0, 0, 0));
 * reader.next(); // undefined
 * reader.push(Uint8Array.of(0));
 * reader.next(); // { type: 6, payload: Uint8Array(0) }
 * ```
 */
export class FrameReader {
  readonly #maxPayload: number;
  #buffer = new Uint8Array(256);
  #start = 0;
  #end = 0;

  /** @param maxPayload longest payload taken, in bytes; a longer one is an error on its header */
  constructor(maxPayload: number) {
    this.#maxPayload = maxPayload;
  }

  /** Bytes pushed but not yet given out as frames. */
  get buffered(): number {
    return this.#end - this.#start;
  }

  /** Adds a chunk of the stream; it is copied. */
  push(chunk: Uint8Array): void {
    const used = this.buffered;
    if (this.#end + chunk.length > this.#buffer.length) {
      const needed = used + chunk.length;
      const target = needed > this.#buffer.length
        ? new Uint8Array(Math.max(needed, 2 * this.#buffer.length))
        : this.#buffer;
      target.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = target;
      this.#start = 0;
      this.#end = used;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * Takes the next whole frame.
   *
   * @returns undefined when more bytes are needed
   * @throws {DerpError} when the next frame is longer than allowed; again on every later call
   */
  next(): Frame | undefined {
    if (this.buffered < HEADER_LENGTH) return undefined;
    const length = payloadLength(this.#buffer, this.#start);
    const type = this.#buffer[this.#start]!;
    if (length > this.#maxPayload) {
      throw new DerpError(
        `Cannot read frame of type ${type}: ${length} bytes, more than ${this.#maxPayload}`,
      );
    }
    if (this.buffered < HEADER_LENGTH + length) return undefined;
    const from = this.#start + HEADER_LENGTH;
    const payload = this.#buffer.slice(from, from + length);
    this.#start = from + length;
    if (this.#start === this.#end) this.#start = this.#end = 0;
    return { type, payload };
  }

  /** Takes out the bytes not yet given out, for a faster reader to go on with. */
  rest(): Uint8Array {
    const bytes = this.#buffer.slice(this.#start, this.#end);
    this.#start = this.#end = 0;
    return bytes;
  }
}
