/**
 * A listener all of whose requests are another application's, as the relay's listener answers those
 * of its guest: one opinion about where a request ends, and limits for strangers. An answer that lasts
 * for hours costs a fraction of one of `Deno.serve`, whose connections know no limits besides.
 */
import { DEFAULT_LIMITS, type Limits, Sweep } from "../server/mod.ts";
import { Gate, type GateOptions, isTls, type Visit } from "./limits/mod.ts";
import { Intake, type Taker } from "./listen/mod.ts";
import {
  answerByGuest,
  close,
  farewell,
  type Guest,
  HeadError,
  type Holding,
  refuse,
  RequestInput,
} from "./wire/mod.ts";

const NOTHING = new Uint8Array(0);

/** Connections ended when the process has no descriptor left for the next one. */
const STARVED_END = 16;

/** How a listener may differ from the ordinary. */
export interface GuestHttpOptions {
  /** Connections at a time; by default as at the relay's own listener. */
  gate?: GateOptions | undefined;
  /** Overrides of the relay's limits. */
  limits?: Partial<Limits> | undefined;
}

export class GuestHttp implements Taker {
  readonly #guest: Pick<Guest, "fetch">;
  readonly #limits: Limits;
  readonly #intake: Intake;
  readonly #sweep: Sweep;
  readonly #holding: Holding;
  readonly #gate: Gate;
  readonly #conns = new Set<Deno.Conn>();
  readonly #running = new Set<Promise<void>>();
  #closed = false;

  constructor(
    listener: Deno.Listener,
    guest: Pick<Guest, "fetch">,
    options: GuestHttpOptions = {},
  ) {
    this.#guest = guest;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#sweep = new Sweep(this.#limits.sweepMs, () => {});
    this.#holding = { limits: this.#limits, sweep: this.#sweep, held: new Set() };
    this.#gate = new Gate({ acceptLimited: 0, addressLimited: 0 }, this.#sweep, options.gate);
    this.#intake = new Intake(listener, this);
  }

  /** Takes a connection that was just accepted. */
  take(conn: Deno.Conn): void {
    const visit = this.#closed ? close(conn) : this.#gate.enter(conn);
    if (!visit) return;
    const serving = this.#serve(conn, visit).finally(() => this.#running.delete(serving));
    this.#running.add(serving);
  }

  /** Makes room for the connections that wait. */
  starved(): void {
    this.#gate.endOldest(STARVED_END);
  }

  async #serve(conn: Deno.Conn, visit: Visit): Promise<void> {
    this.#conns.add(conn);
    let held = false;
    try {
      const input = new RequestInput(conn);
      for (let first = true; !this.#closed; first = false) {
        const head = await this.#head(conn, input, first ? visit : undefined);
        if (head === undefined) return;
        const then = await answerByGuest(this.#guest, conn, head, input, visit, this.#holding);
        if (then === "next") continue;
        held = then === "held";
        return held ? undefined : await farewell(conn, NOTHING, this.#sweep);
      }
    } catch (error) {
      // A failed handshake, a reset, an answer that was cut off, or a head that is no head.
      if (error instanceof HeadError) await refuse(conn, error.status, this.#sweep);
    } finally {
      if (!held) close(conn);
      this.#conns.delete(conn);
    }
  }

  async #head(conn: Deno.Conn, input: RequestInput, first: Visit | undefined) {
    const limit = first ? this.#limits.headMs : this.#limits.httpIdleMs;
    const deadline = this.#sweep.deadline(limit, () => conn.close());
    try {
      if (first && isTls(conn)) await conn.handshake();
      first?.shaken();
      return await input.head();
    } finally {
      deadline.end();
    }
  }

  /** Takes no more connections and ends those that are here. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#intake.close();
    for (const conn of this.#conns) close(conn);
    for (const answer of this.#holding.held) answer.end();
    this.#gate.hangUpNow();
    await Promise.all([this.#intake.done, ...this.#running]);
    this.#sweep.close();
  }
}
