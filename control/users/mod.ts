/**
 * Who signs in at this control plane, by which password, how often it may be tried, and what the
 * operator does with accounts.
 *
 * @module
 */
export { createAccount, findAccount, recordUser, userOf } from "./accounts.ts";
export { Attempts, networkOf } from "./attempts.ts";
export { runRecover } from "./recover.ts";
export { deleteUser } from "./remove.ts";
export {
  accountsQuery,
  type AccountView,
  addAccount,
  changeAccount,
  ownAccount,
  recordAccount,
  removeAccount,
  resetPassword,
  setPassword,
  toAccount,
  visibleAccount,
} from "./manage.ts";
export { checkPassword, isUsername, weakness } from "./password.ts";
export { type GateOptions, PasswordGate, type SignedIn } from "./gate.ts";
