/** What the operator does with the accounts of this control plane. */
import { getLogger } from "@logtape/logtape";
import { type Actor, difference, record } from "../audit/mod.ts";
import { hashPassword, isOperator, newPassword, type Principal } from "../auth/mod.ts";
import { dropDevice } from "../devices/mod.ts";
import {
  conflict,
  fieldInvalid,
  fieldMissing,
  notAllowed,
  notFound,
  Problem,
} from "../http/mod.ts";
import type { AccountRow, Reader, Store, Write } from "../store/mod.ts";
import { createAccount, findAccount } from "./accounts.ts";
import { checkPassword, isUsername } from "./password.ts";
import { dropUser } from "./remove.ts";
import type { Account, AddAccount, UpdateAccount } from "./types.ts";

const log = getLogger(["nexd", "control", "users"]);

/** An account with the id of its user, which is there once the person has signed in. */
export interface AccountView extends AccountRow {
  user_id: string | null;
}

/** All accounts; 403 for who is not the operator. */
export async function accountsQuery(db: Reader, principal: Principal): Promise<Views> {
  await requireOperator(db, principal);
  return views(db);
}

/** An account by its id; `me` is the caller's own. 403 for another's, unless the operator asks. */
export async function visibleAccount(
  db: Reader,
  principal: Principal,
  id: string,
): Promise<AccountView> {
  if (id === "me") return await ownAccount(db, principal);
  const row = await views(db).where("accounts.id", "=", id).executeTakeFirst();
  if (row?.user_id !== principal.ownerId) await requireOperator(db, principal);
  if (row === undefined) throw notFound("account");
  return row;
}

/** The account that the caller signed in with; 404 for who did so elsewhere. */
export async function ownAccount(db: Reader, principal: Principal): Promise<AccountView> {
  const row = await views(db).where("users.id", "=", principal.ownerId).executeTakeFirst();
  if (row === undefined) throw notFound("account");
  return row;
}

/** An account as the API shows it. */
export function toAccount(row: AccountView): Account {
  const { id, username, full_name, email, created_at, user_id } = row;
  return {
    ...{ id, username, full_name, email },
    operator: row.operator === 1,
    disabled: row.disabled === 1,
    created_at,
    ...(user_id === null ? {} : { user_id }),
  };
}

/** Makes an account; the password is answered where none was given, and never again. */
export async function addAccount(
  store: Store,
  principal: Principal,
  body: AddAccount,
): Promise<{ account: AccountView; password?: string }> {
  await requireOperator(store.db, principal);
  const { username } = body;
  if (!username) throw fieldMissing("username");
  if (!isUsername(username)) {
    throw fieldInvalid("username", "use 1 to 64 letters, digits and . _ @ + -");
  }
  const email = addressOf(body.email);
  const { password, made } = chosen("password", body.password, username);
  const passwordHash = await hashPassword(password);
  const row = await store.write(async (write) => {
    const twin = await write.db.selectFrom("accounts").select("id")
      .where("username", "=", username).executeTakeFirst();
    if (twin) throw conflict(twin.id);
    const account = await createAccount(write, {
      ...{ username, passwordHash },
      fullName: body.full_name ?? "",
      email: email ?? "",
      operator: body.operator ?? false,
    });
    recordAccount(write, principal, "create", undefined, { ...account, user_id: null });
    return account;
  });
  log.info("account {username} was made", { username });
  return { account: { ...row, user_id: null }, ...(made ? { password } : {}) };
}

/**
 * Changes an account; absent fields stay. One that is disabled loses its sessions at once and its
 * registration keys let nobody in; its devices stay. 400 for the last operator.
 */
export async function changeAccount(
  store: Store,
  principal: Principal,
  id: string,
  body: UpdateAccount,
): Promise<AccountView> {
  await requireOperator(store.db, principal);
  const email = addressOf(body.email);
  return await store.write(async (write) => {
    const row = await known(write.db, id);
    const next = {
      full_name: body.full_name ?? row.full_name,
      email: email ?? row.email,
      operator: Number(body.operator ?? row.operator === 1),
      disabled: Number(body.disabled ?? row.disabled === 1),
    };
    if (next.operator === 0 || next.disabled === 1) await keepsOperator(write.db, row);
    const ends = next.disabled !== row.disabled;
    const generation = row.generation + (ends ? 1 : 0);
    await write.db.updateTable("accounts").set({ ...next, generation }).where("id", "=", id)
      .execute();
    // Invitations go by what the user has.
    await write.db.updateTable("users")
      .set({ full_name: next.full_name, email: next.email.toLowerCase() })
      .where("subject", "=", id).execute();
    if (ends) endStreams(write, row);
    const after = { ...row, ...next, generation };
    recordAccount(write, principal, "update", row, after);
    return after;
  });
}

/**
 * Deletes an account with its user, that user's devices, keys and invitations, and every organization
 * that nobody else owns: 400 while others have devices there. 400 for the last operator.
 */
export async function removeAccount(
  store: Store,
  principal: Principal,
  id: string,
): Promise<AccountView> {
  await requireOperator(store.db, principal);
  const row = await store.write(async (write) => {
    const { db } = write;
    const row = await known(db, id);
    await keepsOperator(db, row);
    if (row.user_id !== null) {
      const devices = await db.selectFrom("devices").selectAll()
        .where("owner_id", "=", row.user_id).where("deleted_at", "is", null).execute();
      for (const device of devices) await dropDevice(write, device, principal);
      await dropUser(write, principal, row.user_id);
    }
    for (const table of ["device_codes", "auth_codes"] as const) {
      await db.deleteFrom(table).where("account_id", "=", id).execute();
    }
    await db.deleteFrom("accounts").where("id", "=", id).execute();
    recordAccount(write, principal, "delete", row, undefined);
    endStreams(write, row);
    return row;
  });
  log.info("account {username} was deleted", { username: row.username });
  return row;
}

/** Gives an account another password, by the operator: all its sessions end. */
export async function resetPassword(
  store: Store,
  principal: Principal,
  id: string,
  given: string | null | undefined,
): Promise<{ account: AccountView; password?: string }> {
  await requireOperator(store.db, principal);
  const row = await known(store.db, id);
  const { password, made } = chosen("password", given, row.username);
  await setPassword(store, principal, id, await hashPassword(password));
  log.info("account {username} got another password", { username: row.username });
  return { account: row, ...(made ? { password } : {}) };
}

/** Keeps another password's hash; all tokens of the account end. 404 when it is gone. */
export async function setPassword(
  store: Store,
  by: Principal | Actor,
  id: string,
  passwordHash: string,
): Promise<AccountRow> {
  return await store.write(async (write) => {
    const row = await known(write.db, id);
    const change = { password_hash: passwordHash, generation: row.generation + 1 };
    await write.db.updateTable("accounts").set(change).where("id", "=", id).execute();
    recordAccount(write, by, "set-password", row, row);
    endStreams(write, row);
    return (await findAccount(write.db, id))!;
  });
}

/** Records what was done to an account: in its user's own log, where there is such a user. */
export function recordAccount(
  write: Write,
  by: Principal | Actor,
  action: "create" | "update" | "delete" | "set-password",
  before: AccountView | undefined,
  after: AccountView | undefined,
): void {
  const { id, username: name, user_id } = (after ?? before)!;
  const changes = difference(before && told(before), after && told(after), FIELDS);
  if (action === "update" && Object.keys(changes).length === 0) return;
  record(write, by, {
    action: `account.${action}`,
    organizationId: user_id ?? "",
    id,
    name,
    changes,
  });
}

const FIELDS = ["username", "full_name", "email", "operator", "disabled"] as const;

function told(row: AccountView) {
  return { ...row, operator: row.operator === 1, disabled: row.disabled === 1 };
}

type Views = ReturnType<typeof views>;

function views(db: Reader) {
  return db.selectFrom("accounts")
    .leftJoin("users", "users.subject", "accounts.id")
    .selectAll("accounts").select("users.id as user_id");
}

async function known(db: Reader, id: string): Promise<AccountView> {
  const row = await views(db).where("accounts.id", "=", id).executeTakeFirst();
  if (row === undefined) throw notFound("account");
  return row;
}

async function requireOperator(db: Reader, principal: Principal): Promise<void> {
  if (await isOperator(db, principal)) return;
  throw new Problem(403, {
    error: "operation not allowed",
    reason: "only the operator of this control plane sees and changes accounts",
  });
}

/** 400 when nobody could run this control plane without this account. */
async function keepsOperator(db: Reader, row: AccountRow): Promise<void> {
  if (row.operator === 0 || row.disabled === 1) return;
  const other = await db.selectFrom("accounts").select("id").where("operator", "=", 1)
    .where("disabled", "=", 0).where("id", "!=", row.id).executeTakeFirst();
  if (other === undefined) {
    throw notAllowed("this is the only operator: make another account one first");
  }
}

function endStreams(write: Write, { user_id }: AccountView): void {
  if (user_id !== null) write.ended(user_id);
}

function chosen(field: string, given: string | null | undefined, username: string) {
  if (given === null || given === undefined) return { password: newPassword(), made: true };
  checkPassword(field, given, username);
  return { password: given, made: false };
}

function addressOf(email: string | null | undefined): string | undefined {
  const text = email?.trim();
  if (text === undefined || text === "") return text;
  if (!/^[^@\s]+@[^@\s]+$/.test(text)) throw fieldInvalid("email", "is not an e-mail address");
  return text;
}
