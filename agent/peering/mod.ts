/**
 * Which way to each peer, and why. Pure: no clock, no network, no file.
 *
 * @module
 */
export { ipOf } from "./addresses.ts";
export { type Candidates, chooseCandidates, MAX_PEERS } from "./candidates.ts";
export { HANDSHAKE_LIFE, NEVER_HEALTHY_LIMIT, WAS_HEALTHY_LIMIT } from "./health.ts";
export { type Method, METHODS } from "./methods.ts";
export { KEEPALIVE_SECONDS, plan, type PlanInput, type PlanResult } from "./plan.ts";
export { chooseRelay, type RelayChoice, type RelayTarget } from "./relays.ts";
export { describeSelf, interfaceAddresses } from "./self.ts";
export type {
  MethodName,
  Observed,
  PathCode,
  Peer,
  PeerHistory,
  PeerPlan,
  Self,
  Skipped,
} from "./types.ts";
