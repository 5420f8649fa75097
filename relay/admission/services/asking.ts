/**
 * Asking somebody else about a login: bounded in time, in number, and one question for logins that
 * ask the same.
 *
 * @module
 */

/**
 * What came out: `yes` and `no` were answered; `failed`: the question did not get through;
 * `overload`: it was not asked to the end, for too many are under way or the relay closes.
 */
export type Answer = "yes" | "no" | "failed" | "overload";

/** How much may be under way. */
export interface AskingLimits {
  /** Milliseconds from the login to the answer, waiting for a turn included. */
  timeoutMs: number;
  /** Questions at a time. */
  atOnce: number;
  /** Questions that wait for a turn. */
  waiting: number;
}

/**
 * The reference relay's time limit; numbers that a small service bears when a whole site comes back
 * at once.
 */
export const ASKING_LIMITS: AskingLimits = { timeoutMs: 5_000, atOnce: 256, waiting: 8_192 };

/** See the top of the file. */
export class Asking {
  readonly #limits: AskingLimits;
  readonly #flying = new Map<string, Promise<Answer>>();
  /** Called with true when it is their turn. */
  readonly #waiting = new Set<(turn: boolean) => void>();
  readonly #closing = new AbortController();
  #busy = 0;

  constructor(limits: Partial<AskingLimits> = {}) {
    this.#limits = { ...ASKING_LIMITS, ...limits };
  }

  /**
   * Asks, or joins the same question that is under way. Never rejects.
   *
   * @param id what is asked; the same id is the same question
   * @param question gets a signal that aborts when the time is up; throwing means `failed`
   */
  ask(id: string, question: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
    const known = this.#flying.get(id);
    if (known !== undefined) return known;
    const answer = this.#ask(question).finally(() => this.#flying.delete(id));
    this.#flying.set(id, answer);
    return answer;
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const turn of [...this.#waiting]) turn(false);
    await Promise.all(this.#flying.values());
  }

  async #ask(question: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
    const late = new AbortController();
    const until = performance.now() + this.#limits.timeoutMs;
    const turn = this.#turn(until), waited = typeof turn !== "boolean";
    if (!await turn) return "overload";
    const timer = setTimeout(
      () => late.abort(new DOMException("no answer in time", "TimeoutError")),
      Math.max(0, until - performance.now()),
    );
    try {
      const answer = await question(AbortSignal.any([late.signal, this.#closing.signal]));
      if (answer !== "failed") return answer;
    } catch {
      // As if it had said so.
    } finally {
      clearTimeout(timer);
      this.#busy--;
      this.#waiting.values().next().value?.(true);
    }
    // Too little time was left for it, or the relay closes: it was not really asked.
    return (waited && late.signal.aborted) || this.#closing.signal.aborted ? "overload" : "failed";
  }

  /** True with a place taken, false when none came free in time. */
  #turn(until: number): boolean | Promise<boolean> {
    if (this.#closing.signal.aborted) return false;
    if (this.#busy < this.#limits.atOnce) {
      this.#busy++;
      return true;
    }
    if (this.#waiting.size >= this.#limits.waiting) return false;
    return new Promise((resolve) => {
      const settle = (turn: boolean) => {
        clearTimeout(timer);
        this.#waiting.delete(settle);
        if (turn) this.#busy++;
        resolve(turn);
      };
      const timer = setTimeout(() => settle(false), Math.max(0, until - performance.now()));
      this.#waiting.add(settle);
    });
  }
}
