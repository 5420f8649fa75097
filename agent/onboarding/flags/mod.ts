/**
 * The flags by which a host signs in: where the control plane is, and what lets this host in.
 *
 * @module
 */
export { type Credential, type JoinTarget, parseJoin } from "./join.ts";
export { keptCas } from "./pinned_ca.ts";
export {
  homeDir,
  isRoot,
  readCa,
  readHostPort,
  readList,
  readSignIn,
  readText,
  type SignIn,
  type Values,
} from "./sign_in.ts";
