/**
 * What a host keeps of its membership: its identity and secrets, and the last known VPC.
 *
 * @module
 */
export { type CachedVpc, type NatFacts, readCache, writeCache } from "./cache.ts";
export { ensureStateDir } from "./files.ts";
export {
  type AgentState,
  type OidcToken,
  type PendingLogin,
  type StateChange,
  StateStore,
} from "./state.ts";
