/**
 * Who is asking: a user's session at a control plane, kept so that not every command signs in.
 *
 * @module
 */
export { Account, type Surroundings } from "./account.ts";
