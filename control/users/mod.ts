/**
 * Who signs in at this control plane, by which password, and how often it may be tried.
 *
 * @module
 */
export { createAccount, findAccount, userOf } from "./accounts.ts";
export { Attempts, networkOf } from "./attempts.ts";
export { deleteUser } from "./remove.ts";
export { type GateOptions, PasswordGate, type SignedIn } from "./gate.ts";
