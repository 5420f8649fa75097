/**
 * The receive rate limit of one connection: a token bucket over received bytes.
 *
 * What has been read is passed on; then the reader waits until the bucket is out of debt. Nothing
 * is dropped: the sender's TCP window closes meanwhile.
 */

/** A receive rate limit. */
export interface RateLimit {
  bytesPerSecond: number;
  /** Bytes that may come at once. */
  burst: number;
}

export class Bucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  /** @param now milliseconds of any clock that {@link take} is called with too. Starts full. */
  constructor(limit: RateLimit, now: number) {
    this.#perMs = limit.bytesPerSecond / 1000;
    this.#burst = limit.burst;
    this.#tokens = limit.burst;
    this.#at = now;
  }

  /** Takes `bytes` out, into debt if need be. Returns how many milliseconds to wait for its end. */
  take(bytes: number, now: number): number {
    const earned = Math.max(0, now - this.#at) * this.#perMs;
    this.#at = now;
    this.#tokens = Math.min(this.#burst, this.#tokens + earned) - bytes;
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perMs;
  }
}
