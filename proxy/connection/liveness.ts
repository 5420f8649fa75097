/**
 * Whether a relay is still there: the rules of time, without clock or timer of its own.
 *
 * TCP tells at once when the relay's process dies, but nothing for minutes when its host or the way
 * to it vanishes. So the relay is pinged: soon when packets go out and nothing comes back, else now
 * and then. Anything that comes after the Ping counts as an answer; a busy relay may skip one.
 * Silence of 15 s so ends a connection, 6 s under traffic, well before two missed keep-alives (120 s)
 * would. {@linkcode Liveness.silentMs} tells much sooner that something is wrong.
 */

/** Time limits of a connection, in milliseconds. Tests have shorter ones. */
export interface ConnectionLimits {
  /** Name look-up, TCP, TLS, HTTP and login together. */
  connectMs: number;
  /** Packets go out and nothing comes back for so long: time to ask. */
  quietMs: number;
  /** A Ping at least this often, also for the round-trip time. */
  pingIntervalMs: number;
  /** The same until the round-trip time is known from a few answers. */
  firstPingsMs: number;
  /** How long an answer to a Ping may take. */
  pongMs: number;
  /** How long one write may take. */
  writeMs: number;
  /** How often all this is looked at. */
  tickMs: number;
}

/** The limits in use. */
export const DEFAULT_LIMITS: ConnectionLimits = {
  connectMs: 10_000,
  quietMs: 1_000,
  pingIntervalMs: 10_000,
  firstPingsMs: 1_000,
  pongMs: 5_000,
  writeMs: 5_000,
  tickMs: 500,
};

/** Answers that come at the pace of `firstPingsMs`. */
const FIRST_PINGS = 3;

/** Part of a new round trip in the average. */
const WEIGHT = 0.25;

/** See the top of the file. All times are milliseconds of one monotonic clock. */
export class Liveness {
  /** Round trip of the last Ping that was answered. */
  rttMs: number | undefined;
  /** The same over the last few. */
  averageMs: number | undefined;
  /** Pings that were answered. */
  pongs = 0;
  #lastReceived = 0;
  #lastSent = 0;
  #lastPing = -Infinity;
  #pingData: Uint8Array | undefined;
  #writeStarted = 0;
  #now = 0;
  readonly #limits: ConnectionLimits;

  constructor(limits: ConnectionLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
  }

  /** Something came from the relay. */
  received(now: number): void {
    this.#lastReceived = now;
  }

  /** Packets were written. */
  sent(now: number): void {
    this.#lastSent = now;
  }

  /** A write began. */
  writeStarted(now: number): void {
    this.#writeStarted = now;
  }

  /** No write is under way. */
  writeEnded(): void {
    this.#writeStarted = 0;
  }

  /** What to do now: "ping", or the reason to give up, or nothing. */
  check(now: number): "ping" | string | undefined {
    const { pongMs, writeMs, quietMs } = this.#limits;
    const interval = this.pongs < FIRST_PINGS ? "firstPingsMs" : "pingIntervalMs";
    // A host that slept, or a process that was stopped, must not judge the relay by that time.
    const slept = this.#now !== 0 && now - this.#now > pongMs;
    this.#now = now;
    if (slept) {
      if (this.silentMs(now) > 0) this.#lastPing = now;
      if (this.#writeStarted !== 0) this.#writeStarted = now;
      return undefined;
    }
    if (this.#writeStarted !== 0 && now - this.#writeStarted > writeMs) {
      return "it takes no data";
    }
    const answered = this.#lastReceived > this.#lastPing;
    if (this.#pingData !== undefined && !answered) {
      return now - this.#lastPing > pongMs
        ? `no answer to a ping within ${pongMs / 1000} s`
        : undefined;
    }
    if (now - this.#lastPing >= this.#limits[interval]) return "ping";
    const quiet = now - this.#lastReceived > quietMs;
    return quiet && this.#lastSent > this.#lastReceived ? "ping" : undefined;
  }

  /** How long nothing has come since a Ping that waits for its answer; 0: none does. */
  silentMs(now: number): number {
    const waits = this.#pingData !== undefined && this.#lastReceived <= this.#lastPing;
    return waits ? now - this.#lastPing : 0;
  }

  /** Starts a Ping: its eight bytes. */
  ping(now: number): Uint8Array {
    this.#lastPing = now;
    return this.#pingData = crypto.getRandomValues(new Uint8Array(8));
  }

  /** A Pong came; other Pings' answers are ignored. */
  pong(payload: Uint8Array, now: number): void {
    const data = this.#pingData;
    if (data === undefined || !data.every((byte, i) => payload[i] === byte)) return;
    const rtt = this.rttMs = Math.round((now - this.#lastPing) * 100) / 100;
    this.averageMs = (this.averageMs ?? rtt) + (rtt - (this.averageMs ?? rtt)) * WEIGHT;
    this.#pingData = undefined;
    this.pongs++;
  }
}
