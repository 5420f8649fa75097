/**
 * The relay's listener: takes connections, reads each one's request head, and decides whether it
 * becomes a DERP stream, or is answered as ordinary HTTP and may ask again.
 */
import { steerConnections, stopSteering } from "../net/mod.ts";
import type { RelayServer, Upgrade } from "../server/mod.ts";
import { Gate, isTls, type Visit } from "./limits/mod.ts";
import { Intake, type Taker } from "./listen/mod.ts";
import { CloseCode, closeFrame, handshake, WebSocketTransport } from "./websocket/mod.ts";
import {
  answerByGuest,
  close,
  farewell,
  type Guest,
  HeadError,
  type Holding,
  isFor,
  plain,
  refuse,
  type RequestHead,
  RequestInput,
  type Responder,
  wantsDerp,
  wantsWebSocket,
} from "./wire/mod.ts";

/** How a front may differ from the ordinary. */
export interface FrontOptions {
  /** New connections a second, and at once; surplus ones are closed. Default: any number. */
  acceptLimit?: { perSecond: number; burst: number } | undefined;
  /** Connections of one address: not logged in, and in total. Default: 256 and 4096. */
  perAddress?: { unfinished: number; total: number } | undefined;
  /** Connections of all addresses that have not logged in. Default: 8192 */
  unfinished?: number | undefined;
  /** False: the upgrade to DERP is answered 404, and the pages still serve. Default: true */
  derp?: boolean | undefined;
  /** Another application on the port. */
  guest?: Guest | undefined;
}

/** A listener is closed when nothing has come for this long … */
const QUIET_MS = 20;
/** … or after this, when something comes all the time. */
const MAX_DRAIN_MS = 250;
/** A TCP handshake that was begun with a listener is over after this, unless its client is slow. */
const HANDSHAKE_MS = 500;

/** Connections ended when the process has no descriptor left for the next one. */
const STARVED_END = 16;

const NOTHING = new Uint8Array(0);

export class Front implements Taker {
  readonly #relay: RelayServer;
  readonly #responder: Responder;
  readonly #gate: Gate;
  readonly #derp: boolean;
  readonly #guest: Guest | undefined;
  readonly #holding: Holding;
  readonly #intakes = new Set<Intake>();
  #closed = false;
  /** Connections that are neither DERP streams nor ended. */
  readonly #speaking = new Set<Deno.Conn>();

  constructor(
    listener: Deno.Listener,
    relay: RelayServer,
    responder: Responder,
    options: FrontOptions = {},
  ) {
    this.#relay = relay;
    this.#responder = responder;
    this.#gate = new Gate(relay.counters, relay.sweep, options);
    this.#derp = options.derp ?? true;
    this.#guest = options.guest;
    this.#holding = { limits: relay.limits, sweep: relay.sweep, held: new Set() };
    this.#intakes.add(new Intake(listener, this));
  }

  /** Takes a connection that was just accepted. */
  take(conn: Deno.Conn): void {
    if (this.#closed) return close(conn);
    this.#relay.counters.tlsAccepted += 1;
    const visit = this.#gate.enter(conn);
    if (visit !== undefined) void this.#serve(conn, visit);
  }

  /** Makes room for the connections that wait. */
  starved(): void {
    this.#gate.endOldest(STARVED_END);
  }

  async #serve(conn: Deno.Conn, visit: Visit): Promise<void> {
    this.#speaking.add(conn);
    try {
      await this.#speak(conn, visit);
    } catch (error) {
      // A failed handshake, a reset, or a head that is no head.
      if (error instanceof HeadError) await refuse(conn, error.status, this.#relay.sweep);
      close(conn);
    } finally {
      this.#speaking.delete(conn);
      this.#responder.leave(conn);
    }
  }

  /** One request after the other, until one of them asks for DERP or is the last. */
  async #speak(conn: Deno.Conn, visit: Visit): Promise<void> {
    const input = new RequestInput(conn);
    const guest = this.#guest;
    let entered = false;
    for (let first = true;; first = false) {
      const head = await this.#head(conn, input, first ? visit : undefined);
      if (head === undefined || this.#closed) return close(conn);
      let answer: Response | undefined;
      if (!this.#derp && head.method !== "CONNECT" && head.path === "/derp") {
        answer = plain(404, "derp server disabled");
      } else if (wantsDerp(head)) return await this.#derpStream(conn, visit, head, input);
      else if (wantsWebSocket(head)) {
        const shaken = await handshake(head);
        if (!(shaken instanceof Response)) {
          return await this.#webSocket(conn, visit, shaken, input);
        }
        answer = shaken;
      }
      if (answer === undefined && isFor(guest, head)) {
        // Not one of the relay's few connections for pages.
        this.#responder.leave(conn);
        entered = false;
        const then = await answerByGuest(guest, conn, head, input, visit, this.#holding);
        if (then === "next") continue;
        return then === "held" ? undefined : await farewell(conn, NOTHING, this.#relay.sweep);
      }
      if (!entered && !this.#responder.enter(conn)) {
        return await refuse(conn, 503, this.#relay.sweep);
      }
      entered = true;
      if (!await this.#responder.answer(conn, head, input, visit.address, answer)) {
        return await farewell(conn, NOTHING, this.#relay.sweep);
      }
    }
  }

  /**
   * The next head. A connection's first one must come soon, and the TLS handshake before it; a
   * later one ends a time of silence.
   */
  async #head(
    conn: Deno.Conn,
    input: RequestInput,
    first: Visit | undefined,
  ): Promise<RequestHead | undefined> {
    const { counters, limits, sweep } = this.#relay;
    const deadline = sweep.deadline(first ? limits.headMs : limits.httpIdleMs, () => {
      if (first) counters.headTimeouts += 1;
      conn.close();
    });
    try {
      if (first && isTls(conn)) await conn.handshake();
      first?.shaken();
      return await input.head();
    } finally {
      deadline.end();
    }
  }

  async #derpStream(
    conn: Deno.Conn,
    visit: Visit,
    head: RequestHead,
    input: RequestInput,
  ): Promise<void> {
    this.#leave(conn);
    await this.#relay.accept(
      conn,
      upgradeOf(visit, {
        initial: input.rest(),
        fastStart: head.get("derp-fast-start") === "1",
        notIdeal: (head.get("ideal-node") ?? "") !== "",
        websocket: false,
      }),
    );
    visit.finished();
  }

  async #webSocket(
    conn: Deno.Conn,
    visit: Visit,
    shaken: { answer: Uint8Array; derp: boolean },
    input: RequestInput,
  ): Promise<void> {
    const { sweep, limits } = this.#relay;
    if (!shaken.derp) {
      const frame = closeFrame(CloseCode.PolicyViolation, "this server speaks only derp");
      const all = new Uint8Array(shaken.answer.length + frame.length);
      all.set(shaken.answer);
      all.set(frame, shaken.answer.length);
      return await farewell(conn, all, sweep);
    }
    const deadline = sweep.deadline(limits.headMs, () => conn.close());
    try {
      for (let at = 0; at < shaken.answer.length;) {
        at += await conn.write(shaken.answer.subarray(at));
      }
    } finally {
      deadline.end();
    }
    if (this.#closed) return close(conn);
    this.#leave(conn);
    const transport = new WebSocketTransport(conn, input.rest(), sweep);
    // The handshake was the greeting, and the node's rank is not asked for on this way.
    await this.#relay.accept(
      transport,
      upgradeOf(visit, { initial: NOTHING, fastStart: true, notIdeal: false, websocket: true }),
    );
    visit.finished();
  }

  /** From here on the connection is the relay's. */
  #leave(conn: Deno.Conn): void {
    this.#speaking.delete(conn);
    this.#responder.leave(conn);
  }

  /**
   * Goes on with another listener, e.g. one with a new certificate, and closes those before it
   * once all that the kernel accepted on them has been taken. No stream ends by it.
   *
   * @param listeners how many listen on the port, in all processes, the new one included: new
   *   connections are steered to the one opened last, so that the others have nothing to lose
   */
  async replaceListener(listener: Deno.Listener, listeners = 2): Promise<void> {
    const before = [...this.#intakes];
    this.#intakes.add(new Intake(listener, this));
    const { port } = listener.addr as Deno.NetAddr;
    const steered = steerConnections(port, listeners - 1);
    try {
      await Promise.all(before.map((intake) => this.#drain(intake, steered ? HANDSHAKE_MS : 0)));
    } finally {
      if (steered) stopSteering(port);
    }
  }

  /** Takes no more connections; those that are here stay. Resolves when the listeners are closed. */
  async stopAccepting(): Promise<void> {
    await Promise.all([...this.#intakes].map((intake) => this.#drain(intake, 0)));
  }

  async #drain(intake: Intake, minMs: number): Promise<void> {
    await intake.drain(minMs, QUIET_MS, minMs + MAX_DRAIN_MS);
    this.#intakes.delete(intake);
  }

  /** Takes no more connections and ends those that are not DERP streams. */
  async stop(): Promise<void> {
    this.#closed = true;
    for (const intake of this.#intakes) intake.close();
    for (const conn of this.#speaking) close(conn);
    for (const answer of this.#holding.held) answer.end();
    this.#gate.hangUpNow();
    await Promise.all([...this.#intakes].map((intake) => intake.done));
    this.#intakes.clear();
  }
}

/** All that the relay's core is told of a connection. */
function upgradeOf(
  visit: Visit,
  request: Pick<Upgrade, "initial" | "fastStart" | "notIdeal" | "websocket">,
): Upgrade {
  const { address, port, acceptedAt } = visit;
  const remote = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  return { ...request, remote, address, port, acceptedAt };
}
