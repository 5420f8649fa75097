/** How long something is taken for new, how long it is used at all, and how often it is asked for, ms. */
export interface CacheTimes {
  freshMs: number;
  staleMs: number;
  pauseMs: number;
}

/**
 * One value that is loaded from elsewhere. What is not new any more is still used while another is
 * loaded, and as long as none can be: a source that is away for a day is not noticed.
 */
export class Cached<T> {
  readonly #load: () => Promise<T>;
  readonly #times: CacheTimes;
  readonly #now: () => number;
  #value: { value: T; at: number } | undefined;
  #loading: Promise<T> | undefined;
  #failed: unknown;
  #triedAt = -Infinity;

  constructor(load: () => Promise<T>, times: CacheTimes, now: () => number) {
    this.#load = load;
    this.#times = times;
    this.#now = now;
  }

  /** The value; throws what loading threw where there is none that can be used. */
  async get(): Promise<T> {
    const kept = this.#value;
    // A clock that was set back makes nothing new.
    const age = kept === undefined ? Infinity : Math.abs(this.#now() - kept.at);
    if (kept !== undefined && age < this.#times.freshMs) return kept.value;
    const next = this.renewed();
    if (kept === undefined || age >= this.#times.staleMs) return await next;
    next.catch(() => {});
    return kept.value;
  }

  /** A value that is loaded now, or was a moment ago; throws what loading threw. */
  renewed(): Promise<T> {
    if (this.#loading !== undefined) return this.#loading;
    if (Math.abs(this.#now() - this.#triedAt) < this.#times.pauseMs) {
      const kept = this.#value;
      return this.#failed === undefined && kept !== undefined
        ? Promise.resolve(kept.value)
        : Promise.reject(this.#failed);
    }
    return this.#loading = this.#loaded();
  }

  async #loaded(): Promise<T> {
    try {
      const value = await this.#load();
      this.#value = { value, at: this.#now() };
      this.#failed = undefined;
      return value;
    } catch (error) {
      this.#failed = error;
      throw error;
    } finally {
      this.#triedAt = this.#now();
      this.#loading = undefined;
    }
  }
}
