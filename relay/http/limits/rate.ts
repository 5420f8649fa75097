/**
 * A token bucket on the clock that never jumps: what somebody does to the time of day changes
 * nothing here.
 */
export class RateLimit {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  /**
   * @param perSecond events a second in the long run
   * @param burst events at once, at least one
   * @param now time in milliseconds of `performance.now()`
   */
  constructor(perSecond: number, burst: number, now: number = performance.now()) {
    this.#perMs = perSecond / 1000;
    this.#burst = Math.max(1, burst);
    this.#tokens = this.#burst;
    this.#at = now;
  }

  /** Whether one more event may happen now. */
  take(now: number = performance.now()): boolean {
    const earned = Math.max(0, now - this.#at) * this.#perMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
