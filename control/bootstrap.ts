import { getLogger } from "@logtape/logtape";
import { record, SYSTEM } from "./audit/mod.ts";
import {
  hashPassword,
  hashToken,
  newPassword,
  type PasswordCost,
  regKeyToken,
} from "./auth/mod.ts";
import { readText, writePrivate } from "./state_dir.ts";
import type { AccountRow, Reader, Store } from "./store/mod.ts";
import { createRegKey, createUser } from "./tenants.ts";
import { createAccount, userOf } from "./users/mod.ts";

const log = getLogger(["nexd", "control"]);

/** Who the control plane belongs to. */
export interface Bootstrap {
  userId: string;
  username: string;
  /** Only at the start that made the user. */
  password?: string;
  /** A registration key that joins hosts, if it is still known and still good. */
  regKey?: string;
  first: boolean;
  /** Where users sign in, if that is not here: then there is no first user. */
  issuer?: string;
}

/** What is kept of the first start, beside the database, which holds hashes only. */
interface Kept {
  note: string;
  username: string;
  reg_key: string;
}

/**
 * Makes the first user, with its VPC and one multi-use registration key, in an empty database.
 *
 * The key is kept in `bootstrap.json` (0600) so that later starts can print the command that joins a
 * host: it is of the kind that operators copy to every host anyway, and deleting the file is safe.
 * The password is not kept: a person chose it or wrote it down. The file is written before the
 * database is, so that a kill in between leaves no key that nobody knows.
 */
export async function bootstrap(
  { store, secret, stateDir }: { store: Store; secret: Uint8Array; stateDir: string },
  admin: { username: string; password?: string | undefined; cost?: PasswordCost | undefined },
): Promise<Bootstrap> {
  const file = `${stateDir}/bootstrap.json`;
  const account = await firstAccount(store.db);
  if (account) {
    if (admin.password !== undefined) {
      log.info("the first user exists already: the password given at this start is not used");
    }
    const regKey = await keptRegKey(store, file);
    const { username } = account;
    const userId = await userOf(store, account);
    return { userId, username, first: false, ...(regKey === undefined ? {} : { regKey }) };
  }
  const password = admin.password ?? newPassword();
  if (password.length < 8) log.warn("the password of the first user is short: it is easy to guess");
  const passwordHash = await hashPassword(password, admin.cost);
  const keyId = crypto.randomUUID();
  const regKey = regKeyToken(secret, keyId);
  const kept: Kept = {
    note: "The registration key made at the first start. Whoever has it can join hosts; " +
      "deleting this file is safe, the key then is not shown again.",
    username: admin.username,
    reg_key: regKey,
  };
  await writePrivate(file, `${JSON.stringify(kept, null, 2)}\n`);
  const userId = await store.write(async (write) => {
    // Another control plane on the same database may have been faster.
    if (await firstAccount(write.db)) return undefined;
    const { username } = admin;
    const account = await createAccount(write, { username, passwordHash, operator: true });
    const id = await createUser(write, { username: account.username, subject: account.id });
    const description = "made at the first start";
    await createRegKey(write, { id: keyId, ownerId: id, vpcId: id, description, token: regKey });
    const { username: name } = account;
    record(write, SYSTEM, { action: "user.create", organizationId: id, id, name });
    const key = { id: keyId, name: description };
    record(write, SYSTEM, { action: "reg-key.create", organizationId: id, ...key });
    return id;
  });
  if (userId === undefined) return await bootstrap({ store, secret, stateDir }, admin);
  return { userId, username: admin.username, password, regKey, first: true };
}

/** What a control plane whose users sign in elsewhere has to say: a key of before, if there was any. */
export async function withoutUser(
  { store, stateDir }: { store: Store; stateDir: string },
  issuer: string,
): Promise<Bootstrap> {
  const regKey = await keptRegKey(store, `${stateDir}/bootstrap.json`);
  return {
    ...{ userId: "", username: "", first: false, issuer },
    ...(regKey === undefined ? {} : { regKey }),
  };
}

async function firstAccount(db: Reader): Promise<AccountRow | undefined> {
  return await db.selectFrom("accounts").selectAll().orderBy("created_at").limit(1)
    .executeTakeFirst();
}

async function keptRegKey(store: Store, file: string): Promise<string | undefined> {
  let token: unknown;
  try {
    token = (JSON.parse(await readText(file) ?? "{}") as Partial<Kept>).reg_key;
  } catch (error) {
    log.warn("cannot read {file}: {error}; the registration key is not shown", { file, error });
  }
  if (typeof token !== "string") return undefined;
  const row = await store.db.selectFrom("reg_keys").select(["expires_at"])
    .where("token_hash", "=", hashToken(token)).where("deleted_at", "is", null)
    .executeTakeFirst();
  const good = row && (row.expires_at === null || Date.parse(row.expires_at) > Date.now());
  return good ? token : undefined;
}
