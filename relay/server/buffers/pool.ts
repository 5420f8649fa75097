/**
 * Buffers that are lent for a burst and come back: most connections of a relay are idle, and an
 * idle one must not hold memory for traffic it does not have.
 */

/** A stack of equal-sized buffers. Contents are whatever the last user left. */
export class BufferPool {
  readonly #free: Uint8Array[] = [];

  /**
   * @param size bytes of each buffer
   * @param keep buffers kept for reuse; more are left to the garbage collector
   */
  constructor(readonly size: number, readonly keep: number) {}

  take(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(this.size);
  }

  /** Returns a buffer of this pool. The caller must not touch it afterwards. */
  give(buffer: Uint8Array): void {
    if (this.#free.length < this.keep) this.#free.push(buffer);
  }

  /** Buffers at rest now. */
  get free(): number {
    return this.#free.length;
  }
}
