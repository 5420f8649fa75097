import { type Actor, record } from "../audit/mod.ts";
import { hashPassword } from "../auth/mod.ts";
import type { AccountRow, Reader, Store, Write } from "../store/mod.ts";
import { createUser } from "../tenants.ts";

/**
 * Makes an account, which can sign in. Its user in the API is made when it is first seen there.
 *
 * @param account.passwordHash of `hashPassword`; hash before the transaction, as it takes a while
 */
export async function createAccount(
  write: Write,
  account: {
    username: string;
    passwordHash: string;
    fullName?: string;
    email?: string;
    /** Runs this control plane. */
    operator?: boolean;
  },
): Promise<AccountRow> {
  const row: AccountRow = {
    id: crypto.randomUUID(),
    username: account.username,
    full_name: account.fullName ?? "",
    email: account.email ?? "",
    password_hash: account.passwordHash,
    generation: 1,
    created_at: new Date().toISOString(),
    operator: account.operator ? 1 : 0,
    disabled: 0,
  };
  await write.db.insertInto("accounts").values(row).execute();
  return row;
}

/** An account by its id. */
export async function findAccount(db: Reader, id: string): Promise<AccountRow | undefined> {
  return await db.selectFrom("accounts").selectAll().where("id", "=", id).executeTakeFirst();
}

/**
 * The user of the API that an account's tokens speak for, with its organization, VPC and security
 * group; all four are made, with one id, when there are none. Calls at the same time find the same.
 */
export async function userOf(store: Store, account: AccountRow): Promise<string> {
  const known = await idOf(store.db, account.id);
  if (known !== undefined) return known;
  return await store.write(async (write) => {
    const made = await idOf(write.db, account.id);
    if (made !== undefined) return made;
    const { username, full_name: fullName, email, id: subject } = account;
    const id = await createUser(write, { username, fullName, email, subject });
    recordUser(write, { kind: "user", id, name: username });
    return id;
  });
}

/** Records that a user of the API was made, by its own first call. */
export function recordUser(write: Write, user: Actor & { name: string }): void {
  const { id, name } = user;
  record(write, user, { action: "user.create", organizationId: id, id, name });
}

async function idOf(db: Reader, subject: string): Promise<string | undefined> {
  const row = await db.selectFrom("users").select("id").where("subject", "=", subject)
    .executeTakeFirst();
  return row?.id;
}

let hashOfNothing: Promise<string> | undefined;

/** A hash that takes as long to check as any and fits no password: for names that do not exist. */
export function decoyHash(): Promise<string> {
  return hashOfNothing ??= hashPassword(crypto.randomUUID());
}
