/**
 * Where a connection's bytes arrive.
 *
 * A pending read holds its buffer for as long as the connection is silent, so a silent connection
 * reads into a small one; a busy one borrows a buffer that takes a whole TLS record behind the
 * largest incomplete frame, and gives it back when reads get small again.
 */
import { BUSY_READ, SMALL_READ, TLS_RECORD } from "../limits.ts";
import type { BufferPool } from "./pool.ts";

/** Reads of less than {@link SMALL_READ} in a row after which a connection is no longer busy. */
const CALM_READS = 4;

export class Input {
  readonly #pool: BufferPool;
  readonly #small: Uint8Array;
  #calm = 0;

  /** The bytes not yet consumed are `buffer[start..end)`. */
  buffer: Uint8Array;
  start = 0;
  end = 0;

  /** @param small a buffer of {@link SMALL_READ} bytes that belongs to this input from now on */
  constructor(pool: BufferPool, small: Uint8Array = new Uint8Array(SMALL_READ)) {
    this.#pool = pool;
    this.#small = small;
    this.buffer = small;
  }

  /** Takes over bytes read before; they must fit a busy buffer. */
  adopt(bytes: Uint8Array): void {
    if (bytes.length > SMALL_READ) this.#grow();
    this.buffer.set(bytes);
    this.start = 0;
    this.end = bytes.length;
  }

  /** Where the next read may write: never empty. */
  room(): Uint8Array {
    if (this.start === this.end) {
      this.start = this.end = 0;
      if (this.buffer !== this.#small && this.#calm >= CALM_READS) this.release();
      return this.buffer;
    }
    if (this.buffer === this.#small) {
      this.#grow();
    } else if (this.buffer.length - this.end < TLS_RECORD) {
      this.buffer.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    return this.buffer.subarray(this.end);
  }

  /** `n` bytes were read into {@link room}. */
  filled(n: number): void {
    this.end += n;
    if (this.buffer === this.#small) {
      // There may be more of this record: the next read gets a buffer worth its call.
      if (this.end === SMALL_READ) this.#grow();
    } else if (n < SMALL_READ) this.#calm += 1;
    else this.#calm = 0;
  }

  /** Gives a borrowed buffer back. Only while no read is pending. */
  release(): void {
    if (this.buffer === this.#small) return;
    this.#pool.give(this.buffer);
    this.buffer = this.#small;
    this.start = this.end = 0;
  }

  #grow(): void {
    const live = this.end - this.start;
    const busy = this.#pool.take();
    busy.set(this.buffer.subarray(this.start, this.end));
    this.buffer = busy;
    this.start = 0;
    this.end = live;
    this.#calm = 0;
  }
}

/** The pool that inputs borrow from. */
export const INPUT_POOL = { size: BUSY_READ, keep: 64 } as const;
