/** Most ms between two ticks. */
const SLOWEST = 1_000;
/** Ticks within the shortest time that anybody waits for, so that it is kept well enough. */
const TICKS = 8;

/** Who waits for something. */
export interface Ticking {
  /** Called again and again, with the time of `performance.now()`. */
  tick(now: number): void;
}

/** One timer for everything that many streams wait for: one a stream would cost more than it does. */
export class Ticker {
  readonly #ticking = new Set<Ticking>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #everyMs = SLOWEST;

  /** Has `who` ticked an eighth of `shortestMs` apart, and once a second at least. */
  add(who: Ticking, shortestMs: number): void {
    this.#ticking.add(who);
    const everyMs = Math.min(this.#everyMs, Math.max(1, shortestMs / TICKS));
    if (this.#timer === undefined || everyMs < this.#everyMs) {
      clearInterval(this.#timer);
      this.#everyMs = everyMs;
      this.#timer = setInterval(() => this.#all(), everyMs);
    }
  }

  /** Stops that. */
  remove(who: Ticking): void {
    this.#ticking.delete(who);
    if (this.#ticking.size === 0) this.close();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#everyMs = SLOWEST;
    this.#ticking.clear();
  }

  #all(): void {
    const now = performance.now();
    for (const who of this.#ticking) who.tick(now);
  }
}
