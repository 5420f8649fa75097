import { fieldInvalid } from "../http/mod.ts";

/** Of a password, in UTF-16 units; below eight it is guessed in no time. */
const LEAST = 8, MOST = 1024;

/** Why a password cannot be an account's, as a clause; undefined: it can. */
export function weakness(password: string, username: string): string | undefined {
  if (password.length < LEAST) return `it needs at least ${LEAST} characters`;
  if (password.length > MOST) return `it has more than ${MOST} characters`;
  return password.toLowerCase() === username.toLowerCase() ? "it is the user name" : undefined;
}

/** 400 for a password that cannot be an account's. */
export function checkPassword(field: string, password: string, username: string): void {
  const reason = weakness(password, username);
  if (reason !== undefined) throw fieldInvalid(field, reason);
}

/** Whether a name can be an account's: it is typed, and read in lists and logs. */
export function isUsername(name: string): boolean {
  return /^[\w.@+-]{1,64}$/.test(name);
}
