/**
 * The tokens of a session: an access token for the API, an id token that says who signed in, and a
 * refresh token that gets new ones. None is stored; what ends them early is stored until they would
 * have ended by themselves.
 */
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import { recordOfAccount } from "../audit/mod.ts";
import type { Origin } from "../auth/mod.ts";
import type { AccountRow, Store } from "../store/mod.ts";
import { findAccount } from "../users/mod.ts";
import type { SigningKeys } from "./keys.ts";

/** Seconds: of access and id tokens, of a refresh token that is not used, and of a session in all. */
const ACCESS_LIFE = 600, IDLE_LIFE = 90 * 24 * 3600, SESSION_LIFE = 365 * 24 * 3600;
/** Longest refresh token that is looked at, in characters. */
const MAX_REFRESH = 4096;

/** Audience of access tokens: stock control planes want this word. */
const AUDIENCE = "account";
const ACCESS_TYPE = "at+jwt", ID_TYPE = "JWT";

/** What a client may ask for. */
export const SCOPES = [
  "openid",
  "profile",
  "email",
  "offline_access",
  "read:organizations",
  "write:organizations",
  "read:users",
  "write:users",
  "read:devices",
  "write:devices",
] as const;

/** What the dashboard asks for: all but the e-mail address. */
export const WEB_SCOPE: string = SCOPES.filter((scope) => scope !== "email").join(" ");

/** Of a text with scopes those that there are; without any, to know who it is and nothing more. */
export function knownScopes(text: string): string {
  const asked = new Set(text.split(" "));
  const known = SCOPES.filter((scope) => asked.has(scope));
  return known.length > 0 ? known.join(" ") : "openid";
}

/** Answer of the token endpoint. */
export interface TokenAnswer {
  access_token: string;
  token_type: "Bearer";
  expires_in: number;
  refresh_token?: string;
  id_token: string;
  scope: string;
}

/** One sign-in and everything that follows from it. */
export interface Session {
  id: string;
  account: AccountRow;
  clientId: string;
  scope: string;
  /** When the user signed in, seconds since the epoch. */
  since: number;
}

/** What a good access token says. */
interface Checked {
  account: AccountRow;
  scopes: string[];
  clientId: string;
}

/** How a session began. */
export interface SignIn {
  /** `password`, `device`, or another way. */
  method: string;
  from: Origin | undefined;
  /** Of the session, where that has one already. */
  id?: string;
  /** That the client wants to find in the first id token. */
  nonce?: string;
}

/** Makes and checks tokens. */
export class Tokens {
  readonly #deps: TokenDeps;
  readonly #refreshKey: Buffer;

  constructor(deps: TokenDeps) {
    this.#deps = deps;
    this.#refreshKey = createHmac("sha256", deps.secret).update("nexd refresh tokens").digest();
  }

  /** The tokens of a sign-in of now, which is in the audit log before they are made. */
  async start(
    account: AccountRow,
    clientId: string,
    scope: string,
    { method, from, id = crypto.randomUUID(), nonce = "" }: SignIn,
  ): Promise<TokenAnswer> {
    const session = { id, account, clientId, scope, since: this.#seconds() };
    await this.#deps.store.write((write) =>
      recordOfAccount(write, account, from, {
        action: "session.start",
        id: session.id,
        name: account.username,
        changes: { method: { new: method }, scope: { new: scope } },
      })
    );
    return await this.answer(session, nonce);
  }

  /**
   * New tokens of a session.
   *
   * @param nonce that the client wants to find in the id token
   */
  async answer(session: Session, nonce = ""): Promise<TokenAnswer> {
    const { account, clientId, scope } = session;
    const now = this.#seconds();
    const common = {
      iss: this.#deps.issuer(),
      sub: account.id,
      iat: now,
      exp: now + ACCESS_LIFE,
      auth_time: session.since,
      sid: session.id,
      azp: clientId,
      preferred_username: account.username,
    };
    const access_token = await this.#deps.keys.sign(ACCESS_TYPE, {
      ...common,
      aud: [AUDIENCE],
      client_id: clientId,
      jti: crypto.randomUUID(),
      scope,
      generation: account.generation,
    });
    const id_token = await this.#deps.keys.sign(ID_TYPE, {
      ...common,
      aud: [clientId],
      ...(nonce === "" ? {} : { nonce }),
      ...(account.full_name === "" ? {} : { name: account.full_name }),
      ...(account.email === "" ? {} : { email: account.email }),
    });
    const refresh_token = scope.split(" ").includes("offline_access")
      ? this.#refreshToken(session, now)
      : undefined;
    return {
      access_token,
      token_type: "Bearer",
      expires_in: ACCESS_LIFE,
      ...(refresh_token === undefined ? {} : { refresh_token }),
      id_token,
      scope,
    };
  }

  /** Whom an access token speaks for and what it may do, or undefined when it is not good any more. */
  async check(token: string): Promise<Checked | undefined> {
    const claims = await this.#deps.keys.verify(ACCESS_TYPE, token);
    if (
      claims?.iss !== this.#deps.issuer() || !Array.isArray(claims.aud) ||
      !claims.aud.includes(AUDIENCE)
    ) return undefined;
    const { exp, sub, sid, scope, generation, client_id } = claims;
    if (typeof exp !== "number" || exp <= this.#seconds() || typeof scope !== "string") {
      return undefined;
    }
    const account = await this.#alive(String(sub), String(sid), generation);
    return account === undefined
      ? undefined
      : { account, scopes: scope.split(" "), clientId: String(client_id) };
  }

  /** The session that a refresh token of this client goes on with, or undefined. */
  async session(token: string, clientId: string): Promise<Session | undefined> {
    const claims = this.#readRefresh(token);
    if (claims === undefined || claims.client !== clientId) return undefined;
    const now = this.#seconds();
    if (claims.exp <= now || claims.since + SESSION_LIFE <= now) return undefined;
    const account = await this.#alive(claims.sub, claims.sid, claims.generation);
    if (account === undefined) return undefined;
    return {
      id: claims.sid,
      account,
      clientId,
      scope: claims.scope,
      since: claims.since,
    };
  }

  /** Ends a session: its tokens are refused from now on. */
  async end(
    session: Pick<Session, "id" | "since" | "account">,
    from: Origin | undefined,
  ): Promise<void> {
    const now = this.#seconds();
    const time = (seconds: number) => new Date(seconds * 1000).toISOString();
    await this.#deps.store.write(async (write) => {
      const { db } = write;
      await db.deleteFrom("ended_sessions").where("expires_at", "<", time(now)).execute();
      await db.insertInto("ended_sessions")
        .values({ id: session.id, expires_at: time(session.since + SESSION_LIFE + ACCESS_LIFE) })
        .onConflict((conflict) => conflict.doNothing()).execute();
      const { id, account } = session;
      await recordOfAccount(write, account, from, {
        action: "session.end",
        id,
        name: account.username,
      });
    });
  }

  async #alive(
    accountId: string,
    sessionId: string,
    generation: unknown,
  ): Promise<AccountRow | undefined> {
    const { db } = this.#deps.store;
    const account = await findAccount(db, accountId);
    if (account === undefined || account.disabled === 1) return undefined;
    if (account.generation !== generation) return undefined;
    const ended = await db.selectFrom("ended_sessions").select("id").where("id", "=", sessionId)
      .executeTakeFirst();
    return ended === undefined ? account : undefined;
  }

  #refreshToken({ id, account, clientId, scope, since }: Session, now: number): string {
    const claims: RefreshClaims = {
      sub: account.id,
      sid: id,
      client: clientId,
      scope,
      since,
      exp: now + IDLE_LIFE,
      generation: account.generation,
    };
    const body = Buffer.from(JSON.stringify(claims)).toString("base64url");
    return `${body}.${this.#mac(body).toString("base64url")}`;
  }

  #readRefresh(token: string): RefreshClaims | undefined {
    const [body, mac, ...rest] = token.length > MAX_REFRESH ? [] : token.split(".");
    if (!body || !mac || rest.length > 0) return undefined;
    const given = Buffer.from(mac, "base64url"), wanted = this.#mac(body);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined;
    return JSON.parse(Buffer.from(body, "base64url").toString()) as RefreshClaims;
  }

  #mac(body: string): Buffer {
    return createHmac("sha256", this.#refreshKey).update(body).digest();
  }

  #seconds(): number {
    return Math.floor(this.#deps.now() / 1000);
  }
}

/** What tokens are made with. */
export interface TokenDeps {
  store: Store;
  keys: SigningKeys;
  /** The control plane's secret. */
  secret: Uint8Array;
  /** URL that tokens name as theirs. */
  issuer: () => string;
  /** ms since the epoch */
  now: () => number;
}

interface RefreshClaims {
  sub: string;
  sid: string;
  client: string;
  scope: string;
  since: number;
  exp: number;
  generation: number;
}
