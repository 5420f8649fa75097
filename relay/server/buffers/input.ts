/**
 * Where a connection's bytes arrive.
 *
 * A pending read holds its buffer for as long as the connection is silent, so a silent connection
 * reads into a tiny one of its own. Traffic makes it borrow a larger one: for a packet at a time,
 * then for whole TLS records behind the largest incomplete frame. Reads that would have fitted a
 * smaller buffer bring it back.
 */
import { BUSY_READ, IDLE_READ, SMALL_READ, TLS_RECORD } from "../limits.ts";
import type { BufferPool, Pools } from "./pool.ts";

/** Reads in a row that would have fitted a smaller buffer, until the smaller one is taken. */
const CALM_READS = 4;

const NOTHING = new Uint8Array(0);

export class Input {
  readonly #pools: Pools;
  // Its own for as long as it lives.
  #own: Uint8Array;
  #calm = 0;

  /** The bytes not yet consumed are `buffer[start..end)`. */
  buffer: Uint8Array;
  start = 0;
  end = 0;

  constructor(pools: Pools) {
    this.#pools = pools;
    this.buffer = this.#own = pools.idleRead.take();
  }

  /** Takes over bytes read before; they must fit a busy buffer. */
  adopt(bytes: Uint8Array): void {
    if (bytes.length > IDLE_READ) this.#move(this.#pools.busyRead);
    this.buffer.set(bytes);
    this.start = 0;
    this.end = bytes.length;
  }

  /** Where the next read may write: never empty. */
  room(): Uint8Array {
    if (this.start === this.end) {
      this.start = this.end = 0;
      if (this.#calm >= CALM_READS) this.#shrink();
      return this.buffer;
    }
    if (this.buffer.length !== BUSY_READ) {
      this.#move(this.#pools.busyRead);
    } else if (BUSY_READ - this.end < TLS_RECORD) {
      this.buffer.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    return this.buffer.subarray(this.end);
  }

  /** `n` bytes were read into {@link room}. */
  filled(n: number): void {
    this.end += n;
    const size = this.buffer.length;
    if (size === BUSY_READ) this.#calm = n < SMALL_READ ? this.#calm + 1 : 0;
    else if (this.end === size) {
      // There is likely more of this record: the next read gets a buffer worth its call.
      this.#move(size === IDLE_READ ? this.#pools.smallRead : this.#pools.busyRead);
    } else if (size === SMALL_READ) this.#calm = n < IDLE_READ ? this.#calm + 1 : 0;
  }

  /** Gives all buffers back. Only once no read is pending, and none may follow. */
  release(): void {
    this.start = this.end = 0;
    this.#give(this.buffer);
    if (this.#own.length > 0) this.#pools.idleRead.give(this.#own);
    this.buffer = this.#own = NOTHING;
  }

  #give(buffer: Uint8Array): void {
    if (buffer.length === SMALL_READ) this.#pools.smallRead.give(buffer);
    else if (buffer.length === BUSY_READ) this.#pools.busyRead.give(buffer);
  }

  /** One size down; nothing may be waiting in the buffer. */
  #shrink(): void {
    this.#calm = 0;
    const { buffer } = this;
    if (buffer.length === IDLE_READ) return;
    this.buffer = buffer.length === BUSY_READ ? this.#pools.smallRead.take() : this.#own;
    this.#give(buffer);
  }

  /** Into a larger buffer, with what is waiting. */
  #move(pool: BufferPool): void {
    const { buffer, start, end } = this;
    const larger = pool.take();
    this.#pools.copy(buffer, start, end, larger, 0);
    this.buffer = larger;
    this.end = end - start;
    this.start = 0;
    this.#calm = 0;
    this.#give(buffer);
  }
}
