/**
 * How this host becomes a device of a VPC: state and keys, registration, the token that follows.
 *
 * @module
 */
export { type CachedVpc, type NatFacts, readCache, writeCache } from "./cache.ts";
export { ControlLink, type ControlState } from "./control_link.ts";
export { ensureStateDir } from "./files.ts";
export { type Credential, type JoinTarget, parseJoin } from "./join.ts";
export { onboard, type Onboarded, OnboardRefusal, persist } from "./onboard.ts";
export { openSealedToken } from "./sealed_token.ts";
export {
  homeDir,
  isRoot,
  readHostPort,
  readList,
  readSignIn,
  readText,
  type SignIn,
  type Values,
} from "./sign_in.ts";
export { StateStore } from "./state.ts";
