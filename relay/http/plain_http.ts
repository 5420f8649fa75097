/**
 * A listener that speaks ordinary HTTP and nothing else, in plain text: the companion's. Strangers
 * find the relay's own limits there, on time, sizes and numbers.
 */
import { DEFAULT_LIMITS, type Limits, Sweep } from "../server/mod.ts";
import { Gate, type GateOptions } from "./limits/mod.ts";
import { Intake, type Taker } from "./listen/mod.ts";
import {
  close,
  farewell,
  type Fetcher,
  HeadError,
  refuse,
  RequestInput,
  Responder,
} from "./wire/mod.ts";

const NOTHING = new Uint8Array(0);

/** Connections ended when the process has no descriptor left for the next one. */
const STARVED_END = 16;

/** Requests here are short: a site that has this many under way is no browser. */
const DEFAULT_GATE: GateOptions = { perAddress: { unfinished: 64, total: 64 }, unfinished: 512 };

/** How a listener may differ from the ordinary. */
export interface PlainHttpOptions {
  /** Connections at a time. Default: 512, and 64 of one address. */
  gate?: GateOptions | undefined;
  /** Overrides of the relay's limits. */
  limits?: Partial<Limits> | undefined;
}

export class PlainHttp implements Taker {
  readonly #intake: Intake;
  readonly #gate: Gate;
  readonly #sweep: Sweep;
  readonly #responder: Responder;
  readonly #limits: Limits;
  /** Connections, and whether each one waits for an answer. */
  readonly #speaking = new Map<Deno.Conn, boolean>();
  readonly #running = new Set<Promise<void>>();
  #closed = false;

  constructor(listener: Deno.Listener, app: Fetcher, options: PlainHttpOptions = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#sweep = new Sweep(this.#limits.sweepMs, () => {});
    this.#responder = new Responder(app, this.#limits, this.#sweep);
    const uncounted = { acceptLimited: 0, addressLimited: 0 };
    this.#gate = new Gate(uncounted, this.#sweep, options.gate ?? DEFAULT_GATE);
    this.#intake = new Intake(listener, this);
  }

  /** Takes a connection that was just accepted. */
  take(conn: Deno.Conn): void {
    const visit = this.#closed ? close(conn) : this.#gate.enter(conn);
    if (!visit) return;
    const serving = this.#serve(conn, visit.address).finally(() => this.#running.delete(serving));
    this.#running.add(serving);
  }

  /** Makes room for the connections that wait. */
  starved(): void {
    this.#gate.endOldest(STARVED_END);
  }

  async #serve(conn: Deno.Conn, address: string): Promise<void> {
    this.#speaking.set(conn, false);
    try {
      await this.#speak(conn, address);
    } catch (error) {
      // A reset, or a head that is no head.
      if (error instanceof HeadError) await refuse(conn, error.status, this.#sweep);
    } finally {
      close(conn);
      this.#speaking.delete(conn);
      this.#responder.leave(conn);
    }
  }

  async #speak(conn: Deno.Conn, address: string): Promise<void> {
    const input = new RequestInput(conn);
    for (let first = true; !this.#closed; first = false) {
      const limit = first ? this.#limits.headMs : this.#limits.httpIdleMs;
      const deadline = this.#sweep.deadline(limit, () => conn.close());
      const head = await input.head().finally(() => deadline.end());
      if (head === undefined) return;
      if (first && !this.#responder.enter(conn)) return await refuse(conn, 503, this.#sweep);
      this.#speaking.set(conn, true);
      const more = await this.#responder.answer(conn, head, input, address);
      this.#speaking.set(conn, false);
      if (!more) return await farewell(conn, NOTHING, this.#sweep);
    }
  }

  /**
   * Takes no more connections and ends those that are here; one that waits for an answer gets it
   * first, within `graceMs`.
   */
  async close(graceMs = 0): Promise<void> {
    this.#closed = true;
    this.#intake.close();
    for (const [conn, busy] of this.#speaking) if (!busy) close(conn);
    const timer = setTimeout(() => {
      for (const conn of this.#speaking.keys()) close(conn);
    }, graceMs);
    await Promise.all([this.#intake.done, ...this.#running]);
    clearTimeout(timer);
    this.#sweep.close();
  }
}
