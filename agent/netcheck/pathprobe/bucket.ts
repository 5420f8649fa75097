/**
 * A limit of so many in a row, and so many a second.
 *
 * @module
 */

/** See the top of the file; times in ms, from any clock that only goes forward. */
export class Bucket {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #at: number | undefined;

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
  }

  /** Takes one; false when there is none. */
  take(now: number): boolean {
    const passed = Math.max(0, now - (this.#at ?? now));
    this.#at = now;
    this.#left = Math.min(this.#burst, this.#left + passed * this.#perSecond / 1000);
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  /** How long there was none after the last {@linkcode take}, ms. */
  get wait(): number {
    return Math.max(0, 1 - this.#left) * 1000 / this.#perSecond;
  }
}
