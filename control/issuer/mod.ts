/**
 * The built-in issuer: OpenID Connect as far as agents and the administration tool sign in with it, by
 * password and by device flow, and the dashboard, by a page of its own. Its addresses are at `auth.` before the control plane's name.
 *
 * @module
 */
import { SignInLog } from "../audit/mod.ts";
import { type App, fieldInvalid, Problem } from "../http/mod.ts";
import { hashPassword, type Principal, type UserAuthenticator } from "../auth/mod.ts";
import type { AccountRow, Store } from "../store/mod.ts";
import {
  checkPassword,
  type GateOptions,
  PasswordGate,
  setPassword,
  userOf,
} from "../users/mod.ts";
import { AuthCodes } from "./auth_codes.ts";
import { authorizeRoutes } from "./authorize.ts";
import { DeviceCodes } from "./device_codes.ts";
import { devicePages } from "./device_pages.ts";
import { invitationPages } from "./invitation_pages.ts";
import { SigningKeys } from "./keys.ts";
import { issuerRoutes } from "./routes.ts";
import { type TokenAnswer, Tokens } from "./tokens.ts";

export type { TokenAnswer } from "./tokens.ts";
export { SCOPES, WEB_SCOPE } from "./tokens.ts";

/** What an issuer is made of. */
export interface IssuerOptions {
  store: Store;
  /** The control plane's secret. */
  secret: Uint8Array;
  /** Its URL, without a slash at the end; asked for when it is needed, as the port may be chosen late. */
  url: () => string;
  /** Address of the dashboard, the one place that browsers are sent back to. */
  dashboard: () => string;
  gate?: Partial<GateOptions>;
  /** Hears of each sign-in that is refused. */
  refused?: (() => void) | undefined;
  /** ms since the epoch */
  now?: () => number;
}

/** An issuer that can be added to an application. */
export interface Issuer {
  /** Whose an access token is; the user is made where there is none. */
  users: UserAuthenticator;
  /** Adds its addresses, and those by which clients find it. */
  routes(app: App): void;
  /**
   * Gives an account another password, for who knows the old one: every session ends, and the answer
   * begins the caller's next one. Throws a Problem: 400 for a password, 401 for the token, 429.
   */
  changePassword?(change: PasswordChange): Promise<TokenAnswer>;
  /** The address of an invitation's page, where a new person makes an account. */
  invitationLink?(code: string): string;
}

/** A person's own change of a password. */
export interface PasswordChange {
  account: AccountRow;
  /** Access token of that person. */
  bearer: string;
  old: string;
  next: string;
  /** That person, with the request. */
  by: Principal;
}

/** Opens the issuer of a database; its first key is made where there is none. */
export async function openIssuer(options: IssuerOptions): Promise<Issuer> {
  const { store, secret, url, now = Date.now } = options;
  const keys = await SigningKeys.open(store, secret, now);
  const tokens = new Tokens({ store, keys, secret, issuer: url, now });
  const codes = new DeviceCodes(store, now);
  const authCodes = new AuthCodes(store, now);
  const log = new SignInLog(store, now, options.refused);
  const gate = new PasswordGate(store, {
    now,
    refused: ({ username, ...from }) => log.refused({ username, method: "password", from }),
    ...options.gate,
  });
  return {
    async users(bearer) {
      const good = await tokens.check(bearer);
      if (good === undefined) return undefined;
      return { userId: await userOf(store, good.account), scopes: good.scopes };
    },
    async changePassword({ account, by, bearer, old, next }) {
      checkPassword("password", next, account.username);
      const session = await tokens.check(bearer);
      if (session?.account.id !== account.id) throw new Problem(401);
      const signedIn = await gate.signIn(
        account.username,
        old,
        by.from?.address ?? "",
        by.from?.requestId,
      );
      if ("refused" in signedIn) {
        if (signedIn.refused !== "later") throw fieldInvalid("old_password", "it is wrong");
        const { seconds } = signedIn;
        throw new Problem(429, {
          error: "too many requests",
          reason: `too many tries: wait ${seconds} s`,
        }, { "retry-after": String(seconds) });
      }
      const changed = await setPassword(store, by, account.id, await hashPassword(next));
      return await tokens.start(changed, session.clientId, session.scopes.join(" "), {
        method: "password change",
        from: by.from,
      });
    },
    invitationLink: (code) => `${url()}/invitation?code=${code}`,
    routes(app) {
      issuerRoutes(app, { url, keys, tokens, codes, authCodes, gate, now });
      authorizeRoutes(app, { url, dashboard: options.dashboard, codes: authCodes, gate });
      devicePages(app, { codes, gate, now });
      invitationPages(app, { store, gate, now });
    },
  };
}
