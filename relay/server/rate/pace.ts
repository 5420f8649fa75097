/**
 * Keeps a connection's reader to its rate.
 */
import type { Counters } from "../counters.ts";
import { Bucket, type RateLimit } from "./bucket.ts";

/** The longest single timer: a wait beyond it is cut into several. */
const LONGEST_MS = 2 ** 31 - 1;

export class Pace {
  readonly #bucket: Bucket;
  readonly #counters: Counters;
  #ended = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wake: (() => void) | undefined;

  constructor(limit: RateLimit, counters: Counters) {
    this.#bucket = new Bucket(limit, performance.now());
    this.#counters = counters;
  }

  /** `bytes` were read: undefined, or what to await before the next read. */
  read(bytes: number): Promise<void> | undefined {
    if (this.#ended) return undefined;
    const ms = this.#bucket.take(bytes, performance.now());
    if (ms <= 0) return undefined;
    this.#counters.rateLimitWaits += 1;
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = setTimeout(resolve, Math.min(LONGEST_MS, Math.ceil(ms)));
    });
  }

  /** The connection ended, or has another limit now: ends a wait under way. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#wake?.();
  }
}
