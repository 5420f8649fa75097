/**
 * Whether a queue stands.
 *
 * A burst fills a queue and is gone a moment later: nothing need be lost. A queue that is long most of
 * the time is no burst: what is behind it is the slowest part of the way, and the queue is only delay
 * for whatever comes. Such a queue is to be kept short. (The thought is CoDel's, RFC 8289; but what
 * empties the queue may be a process that has its turn only now and then, so that also a standing
 * queue is empty for a moment. So it is the average that counts.)
 */

/** Over this time it is averaged. Milliseconds. */
const AVERAGE_MS = 50;

/** One look says no more than this about the time before it; else nothing waited. Milliseconds. */
const LOOK_MS = 5;

/** See the top of the file. All times are milliseconds of one monotonic clock. */
export class Standing {
  readonly #long: number;
  #average = 0;
  #seenAt = -Infinity;
  #strict = false;

  /** @param long average length from which on the queue stands; until it has a quarter of that */
  constructor(long: number) {
    this.#long = long;
  }

  /** The queue was so long just now. */
  seen(length: number, now: number): void {
    const since = now - this.#seenAt;
    this.#seenAt = now;
    if (since > LOOK_MS) this.#average *= Math.exp((LOOK_MS - since) / AVERAGE_MS);
    const weight = 1 - Math.exp(-Math.min(since, LOOK_MS) / AVERAGE_MS);
    this.#average += (length - this.#average) * weight;
    if (this.#average > this.#long) this.#strict = true;
    else if (this.#average < this.#long / 4) this.#strict = false;
  }

  /** Whether the queue is to be kept short. */
  get strict(): boolean {
    return this.#strict;
  }
}
