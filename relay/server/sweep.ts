/**
 * One timer for every wait of the relay. A timer per connection or per write would cost more than
 * what it guards.
 */

/** A pending deadline. */
export interface Deadline {
  /** The wait is over; nothing will be called. */
  end(): void;
}

interface Pending extends Deadline {
  at: number;
  expired: () => void;
}

export class Sweep {
  readonly #pending = new Set<Pending>();
  readonly #timer: ReturnType<typeof setInterval>;

  /**
   * @param intervalMs how late a deadline may be noticed
   * @param each called every interval with the time in milliseconds of `performance.now()`
   */
  constructor(intervalMs: number, each: (now: number) => void) {
    this.#timer = setInterval(() => {
      const now = performance.now();
      for (const pending of this.#pending) {
        if (now < pending.at) continue;
        this.#pending.delete(pending);
        try {
          pending.expired();
        } catch {
          // Closing what is closed already.
        }
      }
      each(now);
    }, intervalMs);
  }

  /** Has `expired` called once `ms` milliseconds have passed, unless ended before. */
  deadline(ms: number, expired: () => void): Deadline {
    const pending: Pending = {
      at: performance.now() + ms,
      expired,
      end: () => void this.#pending.delete(pending),
    };
    this.#pending.add(pending);
    return pending;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#pending.clear();
  }
}
