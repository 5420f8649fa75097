/** Sign-ins in a browser, between the password and the first tokens (RFC 6749, 4.1; RFC 7636). */
import { createHash, randomBytes } from "node:crypto";
import { hashToken } from "../auth/mod.ts";
import type { AccountRow, AuthCodeRow, Store } from "../store/mod.ts";
import { findAccount } from "../users/mod.ts";

/** How long a code is good, ms: the browser brings it at once. */
const LIFE = 60_000;
/** Longest code and verifier that are looked at, in characters. */
const MAX_CODE = 128, MAX_VERIFIER = 128;

/** What a code is for. */
export interface Grant {
  clientId: string;
  redirectUri: string;
  /** Of PKCE with S256. */
  challenge: string;
  scope: string;
  nonce: string;
}

/** What a code was good for. */
export type Redeemed =
  | { account: AccountRow; sessionId: string; scope: string; nonce: string }
  /** It was used before: whoever has it a second time has stolen it, or it was stolen before. */
  | { stolen: { id: string; since: number; account: AccountRow } }
  | undefined;

/** Makes codes and takes them back. */
export class AuthCodes {
  readonly #store: Store;
  readonly #now: () => number;

  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** A code for an account that has just given its password. */
  async make(account: AccountRow, grant: Grant): Promise<string> {
    const code = randomBytes(32).toString("base64url");
    const now = this.#now();
    const row: AuthCodeRow = {
      code_hash: hashToken(code),
      account_id: account.id,
      client_id: grant.clientId,
      redirect_uri: grant.redirectUri,
      challenge: grant.challenge,
      scope: grant.scope,
      nonce: grant.nonce,
      session_id: null,
      created_at: new Date(now).toISOString(),
      expires_at: new Date(now + LIFE).toISOString(),
    };
    await this.#store.write(async ({ db }) => {
      await db.deleteFrom("auth_codes").where("expires_at", "<=", row.created_at).execute();
      await db.insertInto("auth_codes").values(row).execute();
    });
    return code;
  }

  /** Takes a code for the first tokens, once, from who can prove to have asked for it. */
  async redeem(
    code: string,
    proof: { clientId: string; redirectUri: string; verifier: string },
  ): Promise<Redeemed> {
    if (code.length > MAX_CODE || proof.verifier.length > MAX_VERIFIER) return undefined;
    const challenge = createHash("sha256").update(proof.verifier).digest("base64url");
    const hash = hashToken(code);
    return await this.#store.write(async ({ db }): Promise<Redeemed> => {
      const row = await db.selectFrom("auth_codes").selectAll().where("code_hash", "=", hash)
        .where("expires_at", ">", new Date(this.#now()).toISOString()).executeTakeFirst();
      if (
        row === undefined || row.client_id !== proof.clientId ||
        row.redirect_uri !== proof.redirectUri || row.challenge !== challenge
      ) return undefined;
      const account = await findAccount(db, row.account_id);
      if (account === undefined) return undefined;
      if (row.session_id !== null) {
        const since = Math.floor(Date.parse(row.expires_at) / 1000);
        return { stolen: { id: row.session_id, since, account } };
      }
      if (account.disabled === 1) return undefined;
      const sessionId = crypto.randomUUID();
      await db.updateTable("auth_codes").set({ session_id: sessionId })
        .where("code_hash", "=", hash).execute();
      return { account, sessionId, scope: row.scope, nonce: row.nonce };
    });
  }
}
