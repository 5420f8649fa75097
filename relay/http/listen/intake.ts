/**
 * Accepts from one listener until it is closed, whatever happens on the way.
 */
import { getLogger } from "@logtape/logtape";

const logger = getLogger(["nexd", "relay"]);

/** How long to wait after a failed accept, e.g. when the process has no descriptor left. */
const PAUSE_MS = 50;

/** One line about failing accepts in this time; under pressure they fail many times a second. */
const COMPLAIN_MS = 10_000;

/** How often a closing listener is looked at. */
const LOOK_MS = 5;

/** What an intake reports to. */
export interface Taker {
  /** A connection has come. Must not throw. */
  take(conn: Deno.Conn): void;
  /** Connections wait, and the process cannot open them. */
  starved(): void;
}

export class Intake {
  readonly #listener: Deno.Listener;
  readonly #taker: Taker;
  #closed = false;
  #lastAt = performance.now();
  #complainedAt = -COMPLAIN_MS;
  /** Resolves when nothing more is accepted. */
  readonly done: Promise<void>;

  constructor(listener: Deno.Listener, taker: Taker) {
    this.#listener = listener;
    this.#taker = taker;
    this.done = this.#loop();
  }

  async #loop(): Promise<void> {
    while (!this.#closed) {
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (this.#closed) return;
        // Its client did not wait. The next one may be fine.
        if (error instanceof Deno.errors.ConnectionAborted) continue;
        await this.#failed(error);
        continue;
      }
      this.#lastAt = performance.now();
      this.#taker.take(conn);
    }
  }

  async #failed(error: unknown): Promise<void> {
    const now = performance.now();
    if (now - this.#complainedAt >= COMPLAIN_MS) {
      this.#complainedAt = now;
      logger.warn("Cannot accept connections: {error}", { error: String(error) });
    }
    this.#taker.starved();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }

  /**
   * Takes what the kernel has accepted already, then closes.
   *
   * @param minMs not before this
   * @param quietMs when nothing has come for this long
   * @param maxMs not later than this in any case
   */
  async drain(minMs: number, quietMs: number, maxMs: number): Promise<void> {
    const from = performance.now();
    for (let now = from; !this.#closed && now - from < maxMs; now = performance.now()) {
      if (now - from >= minMs && now - Math.max(from, this.#lastAt) >= quietMs) break;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    this.close();
    await this.done;
  }

  /** Accepts nothing more. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
  }
}
