/**
 * The built-in issuer: OpenID Connect as far as agents and the administration tool sign in with it, by
 * password and by device flow. Its addresses are at `auth.` before the control plane's name.
 *
 * @module
 */
import type { UserAuthenticator } from "../auth/mod.ts";
import type { App } from "../http/mod.ts";
import type { Store } from "../store/mod.ts";
import { type GateOptions, PasswordGate, userOf } from "../users/mod.ts";
import { DeviceCodes } from "./device_codes.ts";
import { devicePages } from "./device_pages.ts";
import { SigningKeys } from "./keys.ts";
import { issuerRoutes } from "./routes.ts";
import { Tokens } from "./tokens.ts";

export { SCOPES } from "./tokens.ts";

/** What an issuer is made of. */
export interface IssuerOptions {
  store: Store;
  /** The control plane's secret. */
  secret: Uint8Array;
  /** Its URL, without a slash at the end; asked for when it is needed, as the port may be chosen late. */
  url: () => string;
  gate?: Partial<GateOptions>;
  /** ms since the epoch */
  now?: () => number;
}

/** An issuer that can be added to an application. */
export interface Issuer {
  /** Whose an access token is; the user is made where there is none. */
  users: UserAuthenticator;
  /** Adds its addresses, and those by which clients find it. */
  routes(app: App): void;
}

/** Opens the issuer of a database; its first key is made where there is none. */
export async function openIssuer(options: IssuerOptions): Promise<Issuer> {
  const { store, secret, url, now = Date.now } = options;
  const keys = await SigningKeys.open(store, secret, now);
  const tokens = new Tokens({ store, keys, secret, issuer: url, now });
  const codes = new DeviceCodes(store, now);
  const gate = new PasswordGate(store, { now, ...options.gate });
  return {
    async users(bearer) {
      const good = await tokens.check(bearer);
      if (good === undefined) return undefined;
      return { userId: await userOf(store, good.account), scopes: good.scopes };
    },
    routes(app) {
      issuerRoutes(app, { url, keys, tokens, codes, gate, now });
      devicePages(app, { codes, gate, now });
    },
  };
}
