/**
 * How much more WireGuard's socket is given at a time.
 *
 * A burst may fill its receive buffer but for a part that is kept for small packets: WireGuard may
 * just not have its turn on a busy machine. A queue that stands is kept short.
 */
import { Standing } from "../standing.ts";
import type { Backlog } from "./backlog.ts";

/** Tells how full WireGuard's receive buffer is; undefined where that cannot be known. */
export interface Gauge {
  measure(): Backlog | undefined;
}

/** Full-size packets fill the receive buffer up to this part of it. */
const SHARE = 0.75;

/** A queue that stands is kept to this much memory: some 40 full packets. Bytes. */
const STANDING = 96 * 1024;

/** The buffer is looked at again after so much memory was given away. Bytes. */
const GRANT = 64 * 1024;

/** See the top of the file. All sizes are memory as the kernel counts it. */
export class Room {
  readonly #gauge: Gauge;
  readonly #clock: () => number;
  #granted = 0;
  readonly #standing = new Standing(STANDING / 2);

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
    this.#standing.seen(backlog.waiting, now);
    const all = backlog.capacity * SHARE;
    const limit = this.#standing.strict ? Math.min(STANDING, all) : all;
    return Math.min(limit - backlog.waiting, most);
  }
}
