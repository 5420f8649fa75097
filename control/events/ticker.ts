/** Most ms between two ticks. */
const SLOWEST = 1_000;
/** Ticks within the shortest time that anybody waits for, so that it is kept well enough. */
const TICKS = 8;

/** One timer for everything that many streams wait for: one a stream would cost more than it does. */
export class Ticker {
  readonly #ticks = new Set<(now: number) => void>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #everyMs = SLOWEST;

  /**
   * Calls `tick` with the time of `performance.now()` again and again, an eighth of `shortestMs` apart
   * and once a second at least; returns how to stop that.
   */
  add(tick: (now: number) => void, shortestMs: number): () => void {
    this.#ticks.add(tick);
    const everyMs = Math.min(this.#everyMs, Math.max(1, shortestMs / TICKS));
    if (this.#timer === undefined || everyMs < this.#everyMs) {
      clearInterval(this.#timer);
      this.#everyMs = everyMs;
      this.#timer = setInterval(() => this.#all(), everyMs);
    }
    return () => {
      this.#ticks.delete(tick);
      if (this.#ticks.size === 0) this.close();
    };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#everyMs = SLOWEST;
    this.#ticks.clear();
  }

  #all(): void {
    const now = performance.now();
    for (const tick of this.#ticks) tick(now);
  }
}
