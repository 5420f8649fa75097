/**
 * How much more WireGuard's socket is given at a time.
 *
 * A burst may fill its receive buffer but for a part that is kept for small packets: WireGuard may
 * just not have its turn on a busy machine, and nothing need be lost. What waits for longer is no
 * burst: then WireGuard is the slowest part of the way, a long queue is only delay for whatever
 * comes behind it, and the queue is kept short. (The thought is CoDel's, RFC 8289: not the length of
 * a queue is bad, but that it does not get short for a while.)
 */
import type { Backlog } from "./backlog.ts";

/** Tells how full WireGuard's receive buffer is; undefined where that cannot be known. */
export interface Gauge {
  measure(): Backlog | undefined;
}

/** Full-size packets fill the receive buffer up to this part of it. */
const SHARE = 0.75;

/** A queue that stands is kept to this much memory: some 70 full packets. Bytes. */
const STANDING = 160 * 1024;

/**
 * A queue that has not been shorter than half of that for this long stands. It is kept short until
 * for this long nothing was refused. Milliseconds.
 */
const BURST_MS = 100;

/** The buffer is looked at again after so much memory was given away. Bytes. */
const GRANT = 64 * 1024;

/** See the top of the file. All sizes are memory as the kernel counts it. */
export class Room {
  readonly #gauge: Gauge;
  readonly #clock: () => number;
  #granted = 0;
  /** When the queue was short, or nobody looked. */
  #shortAt = -Infinity;
  #lookedAt = -Infinity;
  #strictUntil = -Infinity;

  /** @param clock monotonic milliseconds */
  constructor(gauge: Gauge, clock: () => number = () => performance.now()) {
    this.#gauge = gauge;
    this.#clock = clock;
  }

  /** Takes room for `memory` bytes: Infinity when there is enough, else what there is. */
  take(memory: number): number {
    // Room shrinks only by what is sent from here, so there is no need to look each time.
    if (this.#granted < memory) this.#granted = this.#look(memory);
    if (this.#granted >= memory) {
      this.#granted -= memory;
      return Infinity;
    }
    const rest = Math.max(0, this.#granted);
    this.#granted = 0;
    return rest;
  }

  #look(memory: number): number {
    const most = Math.max(GRANT, memory);
    const backlog = this.#gauge.measure();
    if (backlog === undefined) return most;
    const now = this.#clock();
    if (backlog.waiting <= STANDING / 2 || now - this.#lookedAt > BURST_MS) this.#shortAt = now;
    this.#lookedAt = now;
    const all = backlog.capacity * SHARE;
    const strict = now < this.#strictUntil || now - this.#shortAt > BURST_MS;
    const room = (strict ? Math.min(STANDING, all) : all) - backlog.waiting;
    if (strict && room < memory) this.#strictUntil = now + BURST_MS;
    return Math.min(room, most);
  }
}
