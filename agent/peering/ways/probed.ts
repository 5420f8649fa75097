/**
 * What probes of paths say to the planner: which endpoint has answered, which one is silent, and
 * what is to be asked next.
 *
 * @module
 */
import { PROBE_INTERVAL } from "../health/mod.ts";
import { type MethodContext, METHODS, sharedNat } from "./methods.ts";
import type { MethodId, PathProbes, Peer, PeerHistory, Probed } from "../types.ts";

/** An answer older than this says nothing of now, ms. */
const ANSWER_LIFE = 6_000;
/** Bytes that flowed so long ago still make a path busy, ms. */
const BUSY_FOR = 3_000;

/** Time between two looks at the counters that tell a silence, ms. */
const SECOND_LOOK = 250;

/** The shortest {@linkcode holdAfter}, ms. */
const HOLD = 10_000;

/** How good a method is; over which IP version makes no difference. */
const RANKS: Record<MethodId, number> = {
  "relay-node-self-direct-local": 0,
  "relay-node-self": 1,
  "relay-node-peer-direct-local": 2,
  "relay-node-peer": 3,
  "direct-local": 4,
  "reflexive": 5,
  "reflexive-ipv6": 5,
  "via-relay": 6,
  "via-derp-relay": 7,
};

/** True when the first of two methods is worth leaving the second for. */
export function isBetter(one: MethodId, other: MethodId | undefined): boolean {
  return other === undefined || RANKS[one] < RANKS[other];
}

/**
 * For how long a way must have been left before it is taken again, ms, after so many in a row that
 * did not last; a change of the hosts makes it none.
 */
export function holdAfter(failures: number): number {
  return failures === 0 ? 0 : Math.min(PROBE_INTERVAL, HOLD * 2 ** (failures - 1));
}

/** A method, and the endpoint of the peer that has answered. */
export interface Confirmed {
  name: MethodId;
  endpoint: string;
}

/**
 * The best direct method above `current` of which an endpoint has answered since a time: it works,
 * whatever is said of NATs. A published endpoint is also better than one that is no more.
 */
export function confirmed(
  context: MethodContext,
  current: MethodId | undefined,
  inUse: string | undefined,
  since: number,
  now: number,
): Confirmed | undefined {
  const { self, peer, probed } = context;
  if (probed === undefined || self.relayOnly || self.relay || peer.relay) return undefined;
  const fresh = [...probed.answered]
    .filter(([endpoint, { at }]) =>
      at > since && now - at <= ANSWER_LIFE && !isLoopback(endpoint) &&
      !probed.silent.has(endpoint)
    )
    .sort(([, a], [, b]) => b.at - a.at)
    .map(([endpoint]) => endpoint);
  for (const { name } of METHODS) {
    const of = fresh.filter((endpoint) => methodAt(endpoint, context) === name);
    const published = of.find((one) => isPublished(one, peer));
    const endpoint = isBetter(name, current)
      ? published ?? of[0]
      : isRenewed(name, current, inUse, peer)
      ? published
      : undefined;
    if (endpoint !== undefined) return { name, endpoint };
  }
  return undefined;
}

function isPublished(endpoint: string, { local, reflexive, reflexive6 }: Peer): boolean {
  return [local, reflexive, reflexive6].includes(endpoint);
}

/** Whether the endpoint in use is one that is not published any more, of a method as good. */
function isRenewed(
  name: MethodId,
  current: MethodId | undefined,
  inUse: string | undefined,
  peer: Peer,
): boolean {
  return current !== undefined && RANKS[name] === RANKS[current] && inUse !== undefined &&
    !isLoopback(inUse) && !isPublished(inUse, peer);
}

/** The direct method by which an endpoint of the peer is reached. */
export function methodAt(endpoint: string, context: MethodContext): MethodId {
  if (endpoint === context.peer.local && sharedNat(context) !== undefined) return "direct-local";
  return endpoint.startsWith("[") ? "reflexive-ipv6" : "reflexive";
}

/**
 * Since when an endpoint counts as dead: asked in vain, and no byte came from the peer since. Bytes
 * that may have come just before need another look, a moment later. Undefined: it does not.
 */
export function deadAt(
  endpoint: string | undefined,
  probed: Probed | undefined,
  history: PeerHistory,
): number | undefined {
  const since = endpoint === undefined ? undefined : probed?.silent.get(endpoint);
  const grew = history.traffic?.grew;
  if (since === undefined || grew === undefined || grew.to <= since) return since;
  return grew.from > since ? undefined : grew.to + SECOND_LOOK;
}

/** What probes shall find out next about a peer. */
export function probesFor(
  context: MethodContext,
  history: PeerHistory,
  healthy: boolean,
  inUse: string | undefined,
  now: number,
): PathProbes {
  const { self, peer, loopback, probed } = context;
  const speaks = probed?.speaks === true;
  const relay = loopback === undefined ? {} : { relay: loopback };
  const busyAt = history.traffic?.busyAt ?? -Infinity;
  // A relay of the VPC is asked whether it lives, and asks nobody.
  if (self.relay) return { speaks, search: [], busy: false };
  if (peer.relay) {
    const watch = inUse === undefined ? {} : { watch: inUse };
    return { speaks, search: [], ...watch, alone: true, busy: now - busyAt < BUSY_FOR };
  }
  if (self.relayOnly) return { speaks, search: [], busy: false, ...relay };
  const settled = healthy ? history.method : undefined;
  const search = endpointsOf(peer, context)
    .filter(([name, endpoint]) =>
      endpoint !== inUse &&
      (isBetter(name, settled) || isRenewed(name, settled, inUse, peer))
    )
    .map(([, endpoint]) => endpoint);
  const trying = history.probe !== undefined;
  // Until it is healthy an endpoint is searched like the others.
  const watched = inUse !== undefined && !isLoopback(inUse) && (healthy || trying);
  if (inUse !== undefined && !isLoopback(inUse) && !watched) search.push(inUse);
  return {
    speaks,
    search: [...new Set(search)],
    ...(watched ? { watch: inUse } : {}),
    ...relay,
    busy: trying || now - busyAt < BUSY_FOR,
  };
}

function endpointsOf(peer: Peer, context: MethodContext): [MethodId, string][] {
  const { self } = context;
  const all: [MethodId, string | undefined][] = [
    ["direct-local", sharedNat(context) === undefined ? undefined : peer.local],
    ["reflexive", peer.reflexive],
    ["reflexive-ipv6", self.reflexive6 === undefined ? undefined : peer.reflexive6],
  ];
  return all.filter((one): one is [MethodId, string] => one[1] !== undefined);
}

/** An endpoint on this host: the way through the relay. */
export function isLoopback(endpoint: string): boolean {
  return endpoint.startsWith("127.") || endpoint.startsWith("[::1]");
}
