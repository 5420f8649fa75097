/**
 * Which way to each peer, and why. Pure: no clock, no network, no file.
 *
 * @module
 */
export { HANDSHAKE_LIFE, NEVER_HEALTHY_LIMIT, WAS_HEALTHY_LIMIT } from "./health/mod.ts";
export { type BetterWay, explainer } from "./ways/mod.ts";
export { SteadyClock } from "./clock.ts";
export { plan } from "./plan.ts";
export {
  chooseCandidates,
  chooseRelays,
  contains,
  describeSelf,
  type ExitWish,
  interfaceAddresses,
  ipOf,
  isDefault,
  judgeEndpoint,
  MAX_PEERS,
  type NetworkWish,
  parseAddress,
  parsePrefix,
  type Prefix,
  type PublicRelay,
  publicRelaysOf,
  rangesOf,
  type RelayTarget,
} from "./published/mod.ts";
export type { Alias } from "./crossing/mod.ts";
export type {
  Crossing,
  Observed,
  PathEvent,
  PathProbes,
  Peer,
  PeerHistory,
  PeerPlan,
  Probed,
  Self,
  Skipped,
} from "./types.ts";
