/**
 * The device flow (RFC 8628): a host asks, a person who has signed in lets it in by a short code, and
 * the host, which keeps asking, gets its tokens once.
 */
import { randomBytes, randomInt } from "node:crypto";
import { recordOfAccount } from "../audit/mod.ts";
import { hashToken, type Origin } from "../auth/mod.ts";
import type { AccountRow, DeviceCodeRow, Store } from "../store/mod.ts";
import { Attempts, findAccount, networkOf } from "../users/mod.ts";

/** How long a code is good, and how often a host may ask, seconds. */
const CODE_LIFE = 600, INTERVAL = 5;
/** By how much a host that asks too soon has to slow down, seconds (RFC 8628, 3.5). */
const SLOW_DOWN = 5;
/** A host's clock and the network may shorten a pause by so much, ms. */
const TOLERANCE = 1_000;
/** Codes that wait at a time: from one address, and in all. */
const MAX_PER_ADDRESS = 20, MAX_CODES = 10_000;
/** Codes that a network may ask for in a row, and one more each so many milliseconds. */
const STARTS = { burst: 60, everyMs: 10_000 };

/** Letters that are hard to mistake and spell no words (RFC 8628, 6.1). */
const LETTERS = "BCDFGHJKLMNPQRSTVWXZ";

/** What a host asks with. */
interface Asking {
  clientId: string;
  scope: string;
  deviceName: string;
  address: string;
}

/** How a host's question is answered. */
export type Decision =
  | { account: AccountRow; scope: string }
  | { error: "authorization_pending" | "slow_down" | "access_denied" | "expired_token" };

/** See the top of the file. */
export class DeviceCodes {
  readonly #store: Store;
  readonly #now: () => number;
  /** When each host asked last and how long it has to wait, by hash of its code. */
  readonly #pace = new Map<string, { last: number; interval: number }>();
  readonly #starts: Attempts;

  constructor(store: Store, now: () => number = Date.now) {
    this.#store = store;
    this.#now = now;
    this.#starts = new Attempts(STARTS, now);
  }

  /** A new pair of codes, or undefined while too many wait. */
  async start(
    asking: Asking,
  ): Promise<
    { deviceCode: string; userCode: string; expiresIn: number; interval: number } | undefined
  > {
    const network = networkOf(asking.address);
    if (this.#starts.wait(network) > 0) return undefined;
    this.#starts.take(network);
    const deviceCode = randomBytes(32).toString("base64url");
    const now = this.#now();
    const row: DeviceCodeRow = {
      code_hash: hashToken(deviceCode),
      user_code: newUserCode(),
      client_id: asking.clientId,
      scope: asking.scope,
      device_name: asking.deviceName,
      address: asking.address,
      account_id: null,
      denied: 0,
      created_at: new Date(now).toISOString(),
      expires_at: new Date(now + CODE_LIFE * 1000).toISOString(),
    };
    const made = await this.#store.write(async ({ db }) => {
      await db.deleteFrom("device_codes").where("expires_at", "<=", row.created_at).execute();
      const count = (address?: string) => {
        const query = db.selectFrom("device_codes").select((eb) =>
          eb.fn.countAll<number>().as("n")
        );
        return (address === undefined ? query : query.where("address", "=", address))
          .executeTakeFirstOrThrow();
      };
      const [all, mine] = [await count(), await count(asking.address)];
      if (all.n >= MAX_CODES || mine.n >= MAX_PER_ADDRESS) return false;
      await db.insertInto("device_codes").values(row).execute();
      return true;
    });
    if (!made) return undefined;
    this.#tidy(now);
    return { deviceCode, userCode: row.user_code, expiresIn: CODE_LIFE, interval: INTERVAL };
  }

  /** What waits under a code as a person wrote it, or undefined. */
  async find(written: string): Promise<DeviceCodeRow | undefined> {
    const code = userCode(written);
    if (code === undefined) return undefined;
    return await this.#store.db.selectFrom("device_codes").selectAll()
      .where("user_code", "=", code).where("denied", "=", 0).where("account_id", "is", null)
      .where("expires_at", ">", new Date(this.#now()).toISOString()).executeTakeFirst();
  }

  /** Lets the host of a waiting code in as this account, or turns it away; false: it waits no more. */
  async decide(
    row: DeviceCodeRow,
    account: AccountRow,
    allow: boolean,
    from: Origin,
  ): Promise<boolean> {
    const change = allow ? { account_id: account.id } : { denied: 1 };
    return await this.#store.write(async (write) => {
      const { numUpdatedRows } = await write.db.updateTable("device_codes").set(change)
        .where("code_hash", "=", row.code_hash)
        .where("denied", "=", 0).where("account_id", "is", null)
        .where("expires_at", ">", new Date(this.#now()).toISOString()).executeTakeFirstOrThrow();
      if (numUpdatedRows === 0n) return false;
      await recordOfAccount(write, account, from, {
        action: `device-login.${allow ? "allow" : "deny"}`,
        id: "",
        name: row.device_name,
        changes: { address: { new: row.address }, scope: { new: row.scope } },
      });
      return true;
    });
  }

  /** A host asks. Once it got an answer other than to wait, its code is gone. */
  async poll(deviceCode: string, clientId: string): Promise<Decision> {
    const hash = hashToken(deviceCode);
    const row = await this.#store.db.selectFrom("device_codes").selectAll()
      .where("code_hash", "=", hash).where("client_id", "=", clientId).executeTakeFirst();
    const now = this.#now();
    if (row === undefined || Date.parse(row.expires_at) <= now) return { error: "expired_token" };
    if (row.denied === 0 && row.account_id === null) {
      const pace = this.#pace.get(hash) ?? { last: Date.parse(row.created_at), interval: INTERVAL };
      const early = now - pace.last < pace.interval * 1000 - TOLERANCE;
      const interval = pace.interval + (early ? SLOW_DOWN : 0);
      this.#pace.set(hash, { last: now, interval: Math.min(interval, CODE_LIFE) });
      return { error: early ? "slow_down" : "authorization_pending" };
    }
    const { numDeletedRows } = await this.#store.write(({ db }) =>
      db.deleteFrom("device_codes").where("code_hash", "=", hash).executeTakeFirstOrThrow()
    );
    this.#pace.delete(hash);
    if (numDeletedRows === 0n) return { error: "expired_token" };
    const account = row.account_id === null
      ? undefined
      : await findAccount(this.#store.db, row.account_id);
    return row.denied !== 0 || account === undefined || account.disabled === 1
      ? { error: "access_denied" }
      : { account, scope: row.scope };
  }

  #tidy(now: number): void {
    for (const [hash, { last }] of this.#pace) {
      if (now - last > CODE_LIFE * 1000) this.#pace.delete(hash);
    }
  }
}

function newUserCode(): string {
  const letters = Array.from({ length: 8 }, () => LETTERS[randomInt(LETTERS.length)]).join("");
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}

/** The code in what a person wrote, with or without the hyphen and in any case. */
export function userCode(written: string): string | undefined {
  if (written.length > 40) return undefined;
  const letters = written.toUpperCase().replace(/[^A-Z]/g, "");
  if (letters.length !== 8 || [...letters].some((letter) => !LETTERS.includes(letter))) {
    return undefined;
  }
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}
