/**
 * A listener all of whose requests are another application's, as the relay's listener answers those
 * of its guest. A connection costs a sixth of one of `Deno.serve`, which counts where answers last
 * for hours.
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
  refuse,
  RequestInput,
} from "./wire/mod.ts";

const NOTHING = new Uint8Array(0);

/** Connections ended when the process has no descriptor left for the next one. */
const STARVED_END = 16;

export class GuestHttp implements Taker {
  readonly #guest: Pick<Guest, "fetch">;
  readonly #limits: Limits = DEFAULT_LIMITS;
  readonly #intake: Intake;
  readonly #sweep: Sweep;
  readonly #gate: Gate;
  readonly #conns = new Set<Deno.Conn>();
  readonly #running = new Set<Promise<void>>();
  #closed = false;

  /** @param gate connections at a time; by default as at the relay's own listener */
  constructor(listener: Deno.Listener, guest: Pick<Guest, "fetch">, gate: GateOptions = {}) {
    this.#guest = guest;
    this.#sweep = new Sweep(this.#limits.sweepMs, () => {});
    this.#gate = new Gate({ acceptLimited: 0, addressLimited: 0 }, this.#sweep, gate);
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
    try {
      const input = new RequestInput(conn);
      const shared = { limits: this.#limits, sweep: this.#sweep };
      for (let first = true; !this.#closed; first = false) {
        const head = await this.#head(conn, input, first ? visit : undefined);
        if (head === undefined) return;
        if (await answerByGuest(this.#guest, conn, head, input, visit, shared)) continue;
        return await farewell(conn, NOTHING, this.#sweep);
      }
    } catch (error) {
      // A failed handshake, a reset, an answer that was cut off, or a head that is no head.
      if (error instanceof HeadError) await refuse(conn, error.status, this.#sweep);
    } finally {
      close(conn);
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
    this.#gate.hangUpNow();
    await Promise.all([this.#intake.done, ...this.#running]);
    this.#sweep.close();
  }
}
