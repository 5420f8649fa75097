/**
 * The agent's loop: one pass after the other, at once when something has changed.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { pause } from "../../api/mod.ts";
import { reasonOf } from "../../errors.ts";

const log = getLogger(["nexd", "agent"]);

/** How often the loop looks without being woken, ms: for a pass, or in a longer wait for a stir. */
export const INTERVAL = 2_000;
/** Wake-ups within this time are one pass, ms. */
const COALESCE = 20;

/** What goes round. */
export interface Round {
  /** One pass; returns how long the next one may wait, ms. */
  pass(): Promise<number>;
  /** Asked now and then in a long wait: true ends it. */
  stirs(): boolean;
  /** False: the next pass follows at once, and waits by itself. */
  mayRest(): boolean;
}

/** See the top of the file. */
export class Rounds {
  #wake: () => void = () => {};
  #error: string | undefined;
  /** When the last pass began, by a clock that nobody sets. */
  #beganAt: number | undefined;
  /** When it last looked, if only for a stir. */
  #lookedAt: number | undefined;
  #passed = Promise.withResolvers<void>();

  /** Something that a pass looks at has changed. */
  wake(): void {
    this.#wake();
  }

  /** Why the last pass failed. */
  get error(): string | undefined {
    return this.#error;
  }

  /** It goes round, or has not begun to: what has hung for longer than this will not go on. */
  beats(withinMs: number): boolean {
    return this.#lookedAt === undefined || performance.now() - this.#lookedAt < withinMs;
  }

  /** Resolves when a pass is as young as if the loop never waited longer, or after `limitMs`. */
  async fresh(limitMs: number): Promise<void> {
    if (this.#beganAt === undefined || performance.now() - this.#beganAt < INTERVAL) return;
    this.wake();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limitMs);
    await Promise.race([this.#passed.promise, promise]);
    clearTimeout(timer);
  }

  /** Passes until the signal aborts; an error in one is told and the next one tries again. */
  async run(signal: AbortSignal, round: Round): Promise<void> {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    while (!signal.aborted) {
      let woken = false, rouse = () => {};
      this.#beganAt = this.#lookedAt = performance.now();
      this.#wake = () => {
        woken = true;
        rouse();
      };
      let wait = INTERVAL;
      try {
        wait = await round.pass();
        this.#error = undefined;
      } catch (error) {
        const reason = reasonOf(error);
        if (reason !== this.#error) log.error("reconcile: {reason}", { reason });
        this.#error = reason;
      }
      this.#passed.resolve();
      this.#passed = Promise.withResolvers();
      while (round.mayRest() && !woken && wait > 0) {
        const { promise, resolve } = Promise.withResolvers<void>();
        rouse = resolve;
        const timer = setTimeout(resolve, Math.min(wait, INTERVAL));
        await promise;
        clearTimeout(timer);
        this.#lookedAt = performance.now();
        wait -= INTERVAL;
        woken ||= wait > 0 && round.stirs();
      }
      await pause(COALESCE, signal);
    }
  }
}
