/**
 * Which way to each peer, and why. Pure: no clock, no network, no file.
 *
 * @module
 */
export { chooseCandidates, MAX_PEERS } from "./candidates.ts";
export { HANDSHAKE_LIFE, NEVER_HEALTHY_LIMIT, WAS_HEALTHY_LIMIT } from "./health.ts";
export { KEEPALIVE_SECONDS, plan } from "./plan.ts";
export { chooseRelay, type RelayTarget } from "./relays.ts";
export { describeSelf, interfaceAddresses } from "./self.ts";
export type { Observed, Peer, PeerHistory, PeerPlan, Self, Skipped } from "./types.ts";
