/**
 * Work that is due again and again. Dates are compared with the wall clock each time, never waited
 * for with one long timer, so that a clock step or a suspended machine delays nothing by more than
 * one interval.
 *
 * @module
 */

/** Runs work at an interval and on request, never twice at a time. */
export class Ticker {
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #work: () => Promise<void>;
  #running: Promise<void> | undefined;
  #again: Promise<void> | undefined;
  #closed = false;

  /**
   * @param intervalMs between two runs
   * @param work must not throw
   */
  constructor(intervalMs: number, work: () => Promise<void>) {
    this.#work = work;
    this.#timer = setInterval(() => {
      if (this.#running === undefined) void this.run();
    }, intervalMs);
  }

  /** Runs the work once from its beginning; work under way is waited for first. */
  run(): Promise<void> {
    if (this.#closed) return this.#running ?? Promise.resolve();
    if (this.#running === undefined) return this.#start();
    // All who ask while it runs share the run after it.
    return this.#again ??= this.#running.then(() => {
      this.#again = undefined;
      return this.#closed ? undefined : this.#start();
    });
  }

  /** Ends it, and waits for work under way. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#running;
  }

  #start(): Promise<void> {
    return this.#running = this.#work().finally(() => this.#running = undefined);
  }
}
