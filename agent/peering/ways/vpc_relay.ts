/**
 * The WireGuard relay that forwards for the VPC: which one, how it is, and what is routed to it.
 *
 * @module
 */
import type { VpcRelay } from "./methods.ts";
import { contains, parsePrefix, rangesOf } from "../published/mod.ts";
import type { Peer, PeerHistory, Self } from "../types.ts";

/** How long a relay's first handshake is waited for before ways around it are tried, ms. */
export const PENDING_LIMIT = 5_000;
/** How long a relay has to be healthy before a DERP relay that works is left for it, ms. */
export const STABLE_AFTER = 10_000;

/** A relay and what the planner has just found out about it. */
export interface RelayState {
  peer: Peer;
  h: PeerHistory;
  healthy: boolean;
}

/**
 * The relay that forwards for the VPC. One prefix can be routed to one peer only, so it is one
 * relay even where there are more: the one in use while it is healthy, else the first healthy one
 * by its id, so that nothing flaps and the order of arrival does not matter.
 */
export function chooseCarrier(relays: readonly RelayState[]): RelayState | undefined {
  const ordered = [...relays].sort((a, b) => (a.peer.id < b.peer.id ? -1 : 1));
  const inUse = ordered.find(({ h }) => h.carrier);
  if (inUse?.healthy) return inUse;
  return ordered.find(({ healthy }) => healthy) ?? inUse ?? ordered[0];
}

/** One of 255 numbers for a public key, so that two hosts can tell whether they mean one relay. */
export function markOf(publicKey: string): number {
  let hash = 0x811c9dc5;
  for (const char of publicKey) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  return (hash >>> 0) % 255 + 1;
}

/** The relay as methods look at it. */
export function viewOf({ peer, h, healthy }: RelayState, now: number): VpcRelay {
  return {
    hostname: peer.hostname,
    mark: markOf(peer.publicKey),
    healthy,
    pending: !healthy && h.lastHealthyAt === undefined && now - h.since < PENDING_LIMIT,
    stable: healthy && h.healthySince !== undefined && now - h.healthySince >= STABLE_AFTER,
  };
}

/**
 * Has WireGuard make the session with a relay anew, once for each silence: one that was replaced, or
 * lost its memory otherwise, drops what comes in the old session without a word, and WireGuard itself
 * notices after 15 s. One that lives answers the handshake, and is alive by that.
 *
 * @param silentSince since when the relay has been silent; undefined: it is not
 */
export function renewSession(h: PeerHistory, silentSince: number | undefined): void {
  if (silentSince === undefined || h.session?.silentSince === silentSince) return;
  h.session = { number: (h.session?.number ?? 0) + 1, silentSince };
}

/**
 * What WireGuard routes to the relay: the VPC's two ranges, its own addresses, and of the peers
 * behind it whatever is not in these ranges. Each once.
 */
export function relayedPrefixes(self: Self, relay: Peer, behind: readonly Peer[]): string[] {
  const ranges = rangesOf([self.ipv4Cidr, self.ipv6Cidr]);
  const further = [relay, ...behind].flatMap(({ allowedIps }) => allowedIps).filter((text) => {
    const prefix = parsePrefix(text);
    return prefix !== undefined && !ranges.some((range) => contains(range, prefix));
  });
  return [...new Set([...ranges.map(({ text }) => text), ...relay.allowedIps, ...further])];
}
