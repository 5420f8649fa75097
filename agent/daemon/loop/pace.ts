/**
 * How long the loop may wait for its next pass. A pass looks at every peer, so a crowd of peers of
 * which nothing is wanted is looked at less often than a few, or one that packets go to.
 *
 * @module
 */
import { INTERVAL } from "./rounds.ts";

/** For each peer, and at most, while nothing goes through the tunnel, ms. */
const QUIET_EACH = 50;
/**
 * A peer is suspect when it has been silent for 65 s from one look to another: with a pass somewhat
 * later than that the second one notices it, with passes of 50 s only the third.
 */
const QUIET_LONGEST = 66_000;
/** While a new way is being tried: at least, and for each peer, ms. */
const SETTLING = 250, SETTLING_EACH = 2;

/** What the last pass found. */
interface Found {
  peers: number;
  /** A new way is being tried. */
  unsettled: boolean;
  /** When the plan has something to do, ms from now. */
  due: number;
}

/** See the top of the file. */
export class Pace {
  #carried: number | undefined;

  /** How long the next pass may wait, ms. */
  wait({ peers, unsettled, due }: Found): number {
    const usual = unsettled
      ? Math.min(INTERVAL, Math.max(SETTLING, SETTLING_EACH * peers))
      : Math.max(INTERVAL, Math.min(QUIET_LONGEST, QUIET_EACH * peers));
    return Math.min(usual, due);
  }

  /**
   * Whether something went through the tunnel since this was last asked.
   *
   * @param carried packets so far; undefined where that cannot be known
   */
  stirs(carried: number | undefined): boolean {
    const before = this.#carried;
    this.#carried = carried;
    return carried === undefined || carried !== before;
  }
}
