import { SYSTEM } from "../audit/mod.ts";
import { hashPassword, newPassword } from "../auth/mod.ts";
import { type BackupContext, placeOf } from "../backup/mod.ts";
import type { ControlValues } from "../config.ts";
import { ControlError } from "../errors.ts";
import { Store } from "../store/mod.ts";
import { setPassword } from "./manage.ts";

/** Names of accounts that an error lists. */
const MAX_TOLD = 10;

/**
 * `nexd recover ACCOUNT`: gives an account a new password, which is printed, and ends its sessions;
 * whoever can write the database needs no other right. The control plane may be running. ControlErrors
 * for what the user can put right.
 */
export async function runRecover(values: ControlValues, context: BackupContext): Promise<void> {
  const [username, ...rest] = context.args;
  if (username === undefined || rest.length > 0) {
    throw new ControlError("Name one account: nexd recover ACCOUNT", { exitCode: 2 });
  }
  const { stateDir, databaseUrl } = placeOf(values);
  const where = databaseUrl ?? `${stateDir}/control.db`;
  // Opening would make a database where there is none.
  if (databaseUrl === undefined && !isFile(where)) {
    throw new ControlError(`There is no ${where}; check --state-dir`, { exitCode: 2 });
  }
  const store = await Store.open(where);
  try {
    const account = await store.db.selectFrom("accounts").select(["id", "disabled"])
      .where("username", "=", username).executeTakeFirst();
    if (account === undefined) throw nobody(username, await namesOf(store));
    const password = newPassword();
    await setPassword(store, SYSTEM, account.id, await hashPassword(password));
    const disabled = account.disabled === 1;
    if (context.json) {
      return context.print(JSON.stringify({ account: username, password, disabled }));
    }
    context.print(`The password of ${username} is ${password} now; all its sessions have ended.`);
    if (disabled) {
      context.print("The account is disabled: an operator enables it with nexd user enable.");
    }
  } finally {
    await store.close();
  }
}

async function namesOf(store: Store): Promise<string[]> {
  const rows = await store.db.selectFrom("accounts").select("username")
    .orderBy("operator", "desc").orderBy("username").limit(MAX_TOLD).execute();
  return rows.map(({ username }) => username);
}

function nobody(username: string, names: readonly string[]): ControlError {
  const named = JSON.stringify(username.slice(0, 64));
  const others = names.length === 0
    ? "there are no accounts: users sign in elsewhere, or it never ran"
    : `choose ${names.join(", ")}`;
  return new ControlError(`There is no account ${named}; ${others}`, { exitCode: 2 });
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
