/**
 * The agent's loop: one pass after the other, at once when something has changed.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { pause } from "../../api/mod.ts";
import { reasonOf } from "../../errors.ts";

const log = getLogger(["nexd", "agent"]);

/** How often the loop looks without being woken, ms. */
const INTERVAL = 2_000;
/** Wake-ups within this time are one pass, ms. */
const COALESCE = 20;

/** What goes round. */
export interface Round {
  /** One pass; returns how long the next one may wait, ms. */
  pass(): Promise<number>;
  /** False: the next pass follows at once, and waits by itself. */
  mayRest(): boolean;
}

/** See the top of the file. */
export class Rounds {
  #wake: () => void = () => {};
  #error: string | undefined;
  /** When the last pass began, by a clock that nobody sets. */
  #beganAt: number | undefined;

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
    return this.#beganAt === undefined || performance.now() - this.#beganAt < withinMs;
  }

  /** Passes until the signal aborts; an error in one is told and the next one tries again. */
  async run(signal: AbortSignal, round: Round): Promise<void> {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    while (!signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#beganAt = performance.now();
      this.#wake = resolve;
      let wait = INTERVAL;
      try {
        wait = Math.min(wait, await round.pass());
        this.#error = undefined;
      } catch (error) {
        const reason = reasonOf(error);
        if (reason !== this.#error) log.error("reconcile: {reason}", { reason });
        this.#error = reason;
      }
      if (round.mayRest()) {
        const timer = setTimeout(resolve, wait);
        await promise;
        clearTimeout(timer);
      }
      await pause(COALESCE, signal);
    }
  }
}
