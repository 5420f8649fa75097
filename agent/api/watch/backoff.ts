/**
 * Waiting between attempts: exponential, bounded, with jitter, so that many agents that lost the
 * same control plane do not come back in step.
 *
 * @module
 */

/** Delays in ms: `base`, doubled each time up to `max`, each one shortened by up to half at random. */
export class Backoff {
  /** Failures since the last {@link reset}. */
  #attempt = 0;
  readonly #base: number;
  readonly #max: number;
  readonly #random: () => number;

  constructor(options: { base?: number; max?: number; random?: () => number } = {}) {
    this.#base = options.base ?? 500;
    this.#max = options.max ?? 15_000;
    this.#random = options.random ?? Math.random;
  }

  /** The next delay, ms. */
  next(): number {
    const full = Math.min(this.#max, this.#base * 2 ** Math.min(this.#attempt, 20));
    this.#attempt++;
    return full * (0.5 + this.#random() / 2);
  }

  /** Begins again at `base`. */
  reset(): void {
    this.#attempt = 0;
  }
}

/** Resolves after `ms`, or at once when the signal aborts; never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(done, ms);
  function done() {
    clearTimeout(timer);
    signal?.removeEventListener("abort", done);
    resolve();
  }
  signal?.addEventListener("abort", done, { once: true });
  return promise;
}
