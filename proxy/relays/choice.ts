/**
 * Which relay is home, and at which relays to be logged in: two functions of what is known now.
 *
 * Relays are listed in the order that all agents of a VPC have in common. Those of one region are
 * alike, and the nearest of them is best; a region that comes earlier in the list is preferred while
 * one of its relays is healthy. Healthy means: logged in, and pings are answered.
 */

/** Relays of the list that one host is logged in at, at most. */
export const MAX_OPEN = 4;

/** Answers to pings after which a relay's distance is known. */
export const SAMPLES = 3;

/** A relay's distance is measured anew after this time, milliseconds. */
export const MEASURE_MS = 300_000;

/** A home that is not healthy for so long is not waited for alone, milliseconds. */
const PATIENCE_MS = 1_000;

/** A nearer relay is left the other one for when it is nearer by this much. */
const NEARER_MS = 10, NEARER_PART = 0.7;

/** One relay as it is known now. Times are milliseconds of one clock. */
export interface RelayView {
  /** Place of its region in the list; lower is preferred. */
  tier: number;
  /** Logged in. */
  connected: boolean;
  /** Logged in and answering. */
  healthy: boolean;
  /** Since when it is (or is not) healthy. */
  since: number;
  /** How long it has to be healthy before it may become home while home is healthy. */
  holdMs: number;
  /** Round trip, as far as it was measured. */
  rttMs?: number;
  /** Answers that {@linkcode rttMs} comes from, since the last login. */
  samples: number;
  /** When its distance was last known; -Infinity: never. */
  measuredAt: number;
  /** A peer is reached through it. */
  needed: boolean;
  /** It said that it restarts, or fell silent: it may be gone soon. */
  going: boolean;
}

/** Why a relay is home. */
export type HomeReason =
  | "preferred"
  | "nearest"
  | "only-healthy"
  | "still-healthy"
  | "none-healthy";

/**
 * Which relay of the list is home.
 *
 * @param home index of the present one; -1 when it is not in the list any more or there is none
 */
export function chooseHome(
  relays: readonly RelayView[],
  home: number,
  now: number,
): { home: number; reason: HomeReason } {
  const better = byPreference(relays);
  const healthy = relays.map((_, i) => i).filter((i) => relays[i]!.healthy).sort(better);
  const current = relays[home];
  if (healthy.length === 0) {
    if (current !== undefined) return { home, reason: "none-healthy" };
    const connected = relays.findIndex((relay) => relay.connected);
    return { home: Math.max(0, connected), reason: "none-healthy" };
  }
  const [best] = healthy as [number];
  if (current === undefined || !current.healthy) return { home: best, reason: reasonFor(best) };
  for (const i of healthy) {
    const relay = relays[i]!;
    if (relay.tier > current.tier) break;
    if (i === home) continue;
    if (relay.tier < current.tier) {
      if (now - relay.since >= relay.holdMs) return { home: i, reason: "preferred" };
    } else if (now - relay.since >= relay.holdMs && isNearer(relay, current)) {
      return { home: i, reason: "nearest" };
    }
  }
  return { home, reason: best === home ? reasonFor(home) : "still-healthy" };

  function reasonFor(i: number): HomeReason {
    const { tier } = relays[i]!;
    const peers = relays.filter((relay) => relay.tier === tier).length;
    if (relays.some((relay) => relay.tier < tier)) return "only-healthy";
    return peers > 1 ? "nearest" : "preferred";
  }
}

function isNearer(relay: RelayView, than: RelayView): boolean {
  if (relay.samples < SAMPLES || than.samples < SAMPLES) return false;
  const a = relay.rttMs!, b = than.rttMs!;
  return a < b * NEARER_PART && a < b - NEARER_MS;
}

/** Preferred region first, then the nearest as far as that is known, then the common order. */
function byPreference(relays: readonly RelayView[]) {
  return (a: number, b: number): number => {
    const one = relays[a]!, other = relays[b]!;
    return one.tier - other.tier ||
      (one.rttMs ?? Infinity) - (other.rttMs ?? Infinity) || // NaN: both unknown
      a - b;
  };
}

/** At which relays to be logged in beside home, and why. */
export type SeatReason = "home" | "peers" | "fallback" | "preferred" | "search" | "measure";

/**
 * At which relays of the list to be logged in.
 *
 * @param home what {@linkcode chooseHome} said
 * @param searching peers are looked for that are at none of the relays in use
 * @returns index to reason, at most {@linkcode MAX_OPEN}
 */
export function chooseSeats(
  relays: readonly RelayView[],
  home: number,
  searching: boolean,
  now: number,
): Map<number, SeatReason> {
  const seats = new Map<number, SeatReason>();
  const take = (i: number, reason: SeatReason) => {
    if (seats.size < MAX_OPEN && relays[i] !== undefined && !seats.has(i)) seats.set(i, reason);
  };
  const all = relays.map((_, i) => i);
  const preferred = [...all].sort(byPreference(relays));
  const current = relays[home];
  take(home, "home");
  for (const i of all) if (relays[i]!.needed) take(i, "peers");
  if (current === undefined) return seats;
  const waiting = !current.healthy && now - current.since >= PATIENCE_MS;
  if (current.going || waiting) { for (const i of preferred) take(i, "fallback"); }
  // What is preferred to home is not there or not for long: it is tried until it is.
  for (const i of preferred) if (relays[i]!.tier < current.tier) take(i, "preferred");
  if (searching) { for (const i of all) take(i, "search"); }
  if (current.healthy && current.samples >= SAMPLES) {
    // One at a time, and again those whose distance is known from long ago.
    const stale = all.filter((i) =>
      i !== home && relays[i]!.tier === current.tier && now - relays[i]!.measuredAt >= MEASURE_MS
    );
    const [next] = stale.sort((a, b) => relays[a]!.measuredAt - relays[b]!.measuredAt || a - b);
    if (next !== undefined) take(next, "measure");
  }
  return seats;
}
