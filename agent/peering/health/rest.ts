/**
 * When a peer that is away is not called any more.
 *
 * WireGuard calls a peer that has a keepalive again and again, each 5 s, whether it is there or not:
 * with a thousand hosts that are switched off this one would do little else. A host that comes back
 * calls first, by all ways, and the control plane says that it is there.
 *
 * @module
 */
import type { PeerHistory } from "../types.ts";

/** So long a peer is called after it was there, or may be again, ms: as WireGuard does (5.2 s × 18). */
export const PATIENCE = 90_000;

/** What shows that a peer is away. */
interface Signs {
  /** What the control plane says. */
  online: boolean;
  /** Something came from it through a relay lately. */
  heard: boolean;
  /** Since when this host is at its relay, where peers look for it, ms; undefined: it is not. */
  relaySince: number | undefined;
}

/** True when nothing says that the peer may be there, and it could say so. */
export function isAway({ online, heard, relaySince }: Signs): boolean {
  return !online && !heard && relaySince !== undefined;
}

/** True when a peer has been away, and was called in vain, for long enough. */
export function rests(
  { awaitedAt }: Pick<PeerHistory, "awaitedAt">,
  { away, now }: { away: boolean; now: number },
): boolean {
  return away && now - awaitedAt >= PATIENCE;
}
