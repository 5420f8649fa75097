/**
 * Whether a queue stands.
 *
 * A burst fills a queue and is gone a moment later: nothing need be lost. A queue that does not get
 * short for a while is no burst: what is behind it is the slowest part of the way, and the queue is
 * only delay for whatever comes. (The thought is CoDel's, RFC 8289: not the length of a queue is
 * bad, but that it stays.) Such a queue is to be kept short, until nothing had to be refused for a
 * while.
 */

/** A queue that has not been short for so long stands; so long it is then kept short. Milliseconds. */
const BURST_MS = 100;

/** See the top of the file. All times are milliseconds of one monotonic clock. */
export class Standing {
  readonly #short: number;
  /** Until it is seen for the first time it is short. */
  #shortAt = Infinity;
  #strictUntil = -Infinity;

  /** @param short length at which the queue is a short one */
  constructor(short: number) {
    this.#short = short;
  }

  /** The queue was so long just now. Tell it when it is shortest. */
  seen(length: number, now: number): void {
    if (length <= this.#short || this.#shortAt === Infinity) this.#shortAt = now;
  }

  /** Whether the queue is to be kept short. */
  isStrict(now: number): boolean {
    return now < this.#strictUntil || now - this.#shortAt > BURST_MS;
  }

  /** Something found no room while {@linkcode isStrict}. */
  refused(now: number): void {
    this.#strictUntil = now + BURST_MS;
  }
}
