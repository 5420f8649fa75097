/**
 * How this host becomes a device of a VPC: flags, state and keys, signing in, registration, the token
 * that follows, and how it leaves again.
 *
 * @module
 */
export { askPassword, askSecret } from "./ask_password.ts";
export { ControlLink, type ControlState } from "./control_link.ts";
export {
  type Credential,
  homeDir,
  isRoot,
  type JoinTarget,
  keptCas,
  parseJoin,
  readCa,
  readHostPort,
  readList,
  readSignIn,
  readText,
  type SignIn,
  type Values,
} from "./flags/mod.ts";
export { discover, type LoginPrompt, revoke, UserSession } from "./issuer/mod.ts";
export { logout, type LogoutResult } from "./logout.ts";
export { onboard, type Onboarded } from "./onboard.ts";
export { persist } from "./persist.ts";
export { isRegisteredToOthers, OnboardRefusal } from "./refusals.ts";
export { Registrar } from "./registrar.ts";
export { openSealedToken } from "./sealed_token.ts";
export {
  type CachedVpc,
  ensureStateDir,
  type NatFacts,
  type OidcToken,
  readCache,
  StateStore,
  writeCache,
} from "./store/mod.ts";
