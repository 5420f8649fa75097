/**
 * Time for the planner: it only goes forward, whatever is done to the clock on the wall.
 *
 * A clock that is set, or a host that slept, must neither make paths look dead nor keep dead ones
 * alive. Handshakes are stamped by WireGuard with the clock on the wall; what counts is when a new
 * one was seen.
 *
 * @module
 */

/** Where time comes from; replaced in tests. */
interface Clocks {
  /** ms since the epoch, may be set */
  wall(): number;
  /** ms since anything, only goes forward */
  running(): number;
}

interface Stamped {
  /** As WireGuard says it. */
  wall: number;
  /** In steady time. */
  steady: number;
}

/** See the top of the file. */
export class SteadyClock {
  readonly #clocks: Clocks;
  readonly #offset: number;
  #handshakes = new Map<string, Stamped>();
  #lookedAt: number | undefined;

  constructor(clocks: Clocks = { wall: () => Date.now(), running: () => performance.now() }) {
    this.#clocks = clocks;
    this.#offset = clocks.wall() - clocks.running();
  }

  /** Steady time, ms: at first the time since the epoch. */
  now(): number {
    return this.#offset + this.#clocks.running();
  }

  /** The clock on the wall, ms since the epoch. */
  wall(): number {
    return this.#clocks.wall();
  }

  /** What the clock on the wall shows for a moment of steady time, by how it is set now. */
  toWall(steady: number): number {
    return Math.round(steady + this.#clocks.wall() - this.now());
  }

  /**
   * WireGuard's statistics with handshakes in steady time. One that has not been seen before was
   * since the last look, or, of a peer that is seen for the first time, when it is said to have been.
   */
  observe<Row extends { publicKey: string; lastHandshake?: number }>(
    rows: Iterable<Row>,
  ): Map<string, Row> {
    const now = this.now(), wall = this.wall();
    const since = this.#lookedAt === undefined ? Infinity : now - this.#lookedAt;
    const seen = new Map<string, Stamped>(), result = new Map<string, Row>();
    for (const row of rows) {
      const said = row.lastHandshake;
      if (said === undefined) {
        result.set(row.publicKey, row);
        continue;
      }
      const before = this.#handshakes.get(row.publicKey);
      const longest = before === undefined ? Infinity : since;
      const stamped = before?.wall === said
        ? before
        : { wall: said, steady: now - Math.min(longest, Math.max(0, wall - said)) };
      seen.set(row.publicKey, stamped);
      result.set(row.publicKey, { ...row, lastHandshake: stamped.steady });
    }
    this.#handshakes = seen;
    this.#lookedAt = now;
    return result;
  }
}
