/**
 * Who calls, and what that caller may do: bearer values, their scopes, sealed tokens, passwords.
 *
 * @module
 */
export { authenticate, type Refusal, type UserAuthenticator } from "./authenticate.ts";
export { isOperator } from "./operator.ts";
export { hashPassword, type PasswordCost, verifyPassword } from "./password.ts";
export { confinedTo, mayChange, mayHaveToken, type Origin, type Principal } from "./principal.ts";
export { verdict } from "./scope.ts";
export { isPublicKey, openToken, sealToken } from "./seal.ts";
export {
  deviceToken,
  hashToken,
  newPassword,
  newRegKey,
  newSecret,
  parseSecret,
  regKeyToken,
  secretCheck,
} from "./tokens.ts";
