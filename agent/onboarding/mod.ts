/**
 * How this host becomes a device of a VPC: state and keys, registration, the token that follows.
 *
 * @module
 */
export { type CachedVpc, type NatFacts, readCache, writeCache } from "./cache.ts";
export { ensureStateDir } from "./files.ts";
export { apiUrlOf, DEFAULT_SERVICE_URL, type JoinTarget, parseJoin } from "./join.ts";
export {
  onboard,
  type Onboarded,
  OnboardRefusal,
  persist,
  type Persistence,
  type SelfDescription,
} from "./onboard.ts";
export { openSealedToken } from "./sealed_token.ts";
export { type AgentState, StateStore } from "./state.ts";
