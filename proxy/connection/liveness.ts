/**
 * Whether a relay is still there: the rules of time, without clock or timer of its own.
 *
 * TCP tells at once when the relay's process dies, but nothing for minutes when its host or the way
 * to it vanishes. So the relay is pinged: soon when packets go out and nothing comes back, else now
 * and then. Anything that comes after the Ping counts as an answer; a busy relay may skip one.
 * Silence of 25 s so ends a connection, well before two missed keep-alives (120 s) would.
 */

/** Time limits of a connection, in milliseconds. Tests have shorter ones. */
export interface ConnectionLimits {
  /** Name look-up, TCP, TLS, HTTP and login together. */
  connectMs: number;
  /** Packets go out and nothing comes back for so long: time to ask. */
  quietMs: number;
  /** A Ping at least this often, also for the round-trip time. */
  pingIntervalMs: number;
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
  quietMs: 5_000,
  pingIntervalMs: 20_000,
  pongMs: 5_000,
  writeMs: 5_000,
  tickMs: 500,
};

/** See the top of the file. All times are milliseconds of one monotonic clock. */
export class Liveness {
  /** Round trip of the last Ping that was answered. */
  rttMs: number | undefined;
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
    const { pongMs, writeMs, pingIntervalMs, quietMs } = this.#limits;
    // A host that slept, or a process that was stopped, must not judge the relay by that time.
    const slept = this.#now !== 0 && now - this.#now > pongMs;
    this.#now = now;
    if (slept) {
      if (this.#pingData !== undefined) this.#lastPing = now;
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
    if (now - this.#lastPing >= pingIntervalMs) return "ping";
    const quiet = now - this.#lastReceived > quietMs;
    return quiet && this.#lastSent > this.#lastReceived ? "ping" : undefined;
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
    this.rttMs = Math.round((now - this.#lastPing) * 100) / 100;
    this.#pingData = undefined;
  }
}
