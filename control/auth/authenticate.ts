import type { Store } from "../store/mod.ts";
import type { Origin, Principal } from "./principal.ts";
import { SharedReads } from "./shared_reads.ts";
import { hashToken, MAX_TOKEN_LENGTH } from "./tokens.ts";

/** Why a request has no caller; each is answered 401 in its own form. */
export interface Refusal {
  refused: "missing" | "malformed" | "invalid-token" | "reg-key" | "device-token" | "site-token";
  reason?: string;
}

/**
 * Checks a bearer value that is neither a key's nor a device's and tells whose it is: how users sign in.
 * Without `scopes` the user may do everything that is his. `from`: the request, for the audit log.
 */
export type UserAuthenticator = (
  bearer: string,
  from?: Origin,
) => Promise<{ userId: string; scopes?: readonly string[]; operator?: boolean } | undefined>;

/** Longest token of a user, in characters: ours are under a thousand. */
const MAX_USER_TOKEN = 8192;

/** Finds out who sent a request from its `Authorization` header. */
export async function authenticate(
  header: string | undefined,
  deps: {
    store: Store;
    users?: UserAuthenticator | undefined;
    from?: Origin;
    now?: () => number;
  },
): Promise<Principal | Refusal> {
  if (header === undefined || header === "") return { refused: "missing" };
  const parts = header.split(" ");
  const token = parts[1] ?? "";
  if (parts.length !== 2 || parts[0]!.toLowerCase() !== "bearer" || token === "") {
    return { refused: "malformed" };
  }
  if (token.length > MAX_TOKEN_LENGTH && /^(RK|DT|ST):/.test(token)) {
    return { refused: "malformed" };
  }
  if (token.startsWith("RK:")) return await regKey(token, deps.store, (deps.now ?? Date.now)());
  if (token.startsWith("DT:")) return await device(token, deps.store);
  if (token.startsWith("ST:")) return { refused: "site-token" };
  if (token.length > MAX_USER_TOKEN) return { refused: "malformed" };
  const user = await deps.users?.(token, deps.from);
  if (!user) return { refused: "invalid-token" };
  const { userId: ownerId, ...rest } = user;
  return { kind: "user", ownerId, ...rest };
}

async function regKey(token: string, store: Store, now: number): Promise<Principal | Refusal> {
  const found = await findRegKey(store, hashToken(token));
  if (!found) return { refused: "reg-key" };
  const { owner_disabled, ...row } = found;
  if (row.expires_at !== null && Date.parse(row.expires_at) <= now) {
    return { refused: "reg-key", reason: `the registration key expired at ${row.expires_at}` };
  }
  if (owner_disabled === 1) {
    return { refused: "reg-key", reason: "the account of its owner is disabled" };
  }
  return { kind: "reg-key", ownerId: row.owner_id, regKey: row, token };
}

/** Of each store, by the hash: one key may make a thousand hosts at once. */
const regKeys = new WeakMap<Store, SharedReads<Awaited<ReturnType<typeof readRegKey>>>>();

async function findRegKey(store: Store, hash: string) {
  const reads = regKeys.get(store) ?? new SharedReads();
  regKeys.set(store, reads);
  return await reads.read(hash, () => readRegKey(store, hash));
}

async function readRegKey({ db }: Store, hash: string) {
  return await db.selectFrom("reg_keys")
    .leftJoin("users", "users.id", "reg_keys.owner_id")
    .leftJoin("accounts", "accounts.id", "users.subject")
    .selectAll("reg_keys").select("accounts.disabled as owner_disabled")
    .where("reg_keys.token_hash", "=", hash).where("reg_keys.deleted_at", "is", null)
    .executeTakeFirst();
}

async function device(token: string, store: Store): Promise<Principal | Refusal> {
  const row = await store.db.selectFrom("devices").selectAll()
    .where("token_hash", "=", hashToken(token)).where("deleted_at", "is", null)
    .executeTakeFirst();
  return row ? { kind: "device", ownerId: row.owner_id, device: row } : { refused: "device-token" };
}
