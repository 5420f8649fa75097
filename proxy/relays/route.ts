/**
 * Through which relays packets go to a peer: a function of where the peer was heard, and where it is
 * known not to be.
 *
 * A peer that was heard at one relay lately is sent to there. Where it was heard at several within a
 * short time, the first of them in the common order is taken: both sides come to the same relay. A
 * peer of which nothing is known is sent to everywhere it may be; WireGuard throws away what comes
 * twice.
 */

/** Relays a host is connected with at one time, those on their way out included. */
export const SLOTS = 8;

/** What was heard of a peer longer ago counts no more: three keepalives and a handshake. */
export const HEARD_MS = 150_000;

/** Relays where a peer was heard within this time of the last word are all good. Milliseconds. */
export const SAME_MS = 3_000;

/** A connected relay, as far as routes need to know. */
export interface RouteSeat {
  slot: number;
  /** Place in the common order; what is not listed any more comes last. */
  rank: number;
  /** Packets reach it. */
  connected: boolean;
  /** It answers pings. */
  healthy: boolean;
  /** And did so for a while, if it failed before. */
  steady: boolean;
  /** Not connected yet, but packets are held for it: it may be at any moment. */
  opening: boolean;
}

/** What is known of a peer's whereabouts. */
export interface Sightings {
  /** When it was last heard through each slot, milliseconds; 0: never. */
  readonly heardAt: Float64Array;
  /** Slots whose relay said that the peer is not there: one bit each. */
  absent: number;
}

/** The answer: slots, one bit each. */
export interface Route {
  /** Where the peer is; -1 when that is not known. */
  place: number;
  /** Where packets for it go. Never 0 while there is a seat. */
  send: number;
}

/**
 * Through which relays packets go to a peer.
 *
 * @param home slot of the home relay
 */
export function chooseRoute(
  seats: readonly RouteSeat[],
  peer: Sightings,
  home: number,
  now: number,
): Route {
  let last = 0;
  for (const { slot, connected } of seats) {
    if (connected && (peer.absent >> slot & 1) === 0) {
      last = Math.max(last, peer.heardAt[slot]!);
    }
  }
  let place: RouteSeat | undefined;
  if (last > 0 && now - last < HEARD_MS) {
    for (const seat of seats) {
      const heardAt = peer.heardAt[seat.slot]!;
      if (!seat.connected || (peer.absent >> seat.slot & 1) !== 0) continue;
      if (heardAt === 0 || heardAt < last - SAME_MS) continue;
      if (place === undefined || isBefore(seat, place)) place = seat;
    }
  }
  if (place?.healthy) return { place: place.slot, send: 1 << place.slot };
  let send = place === undefined ? 0 : 1 << place.slot;
  for (const { slot, connected, opening } of seats) {
    if ((connected || opening) && (peer.absent >> slot & 1) === 0) send |= 1 << slot;
  }
  return { place: place?.slot ?? -1, send: send === 0 ? 1 << home : send };
}

function isBefore(a: RouteSeat, b: RouteSeat): boolean {
  if (a.healthy !== b.healthy) return a.healthy;
  return a.steady === b.steady ? a.rank < b.rank : a.steady;
}
