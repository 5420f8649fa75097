/**
 * Another issuer in the place of our own: users sign in there (OpenID Connect), and its access tokens are
 * taken here. It is believed in what it says about its users, and bounded in everything else.
 *
 * @module
 */
import type { App } from "../http/mod.ts";
import type { Issuer } from "../issuer/mod.ts";
import type { Store } from "../store/mod.ts";
import { RemoteIssuer } from "./remote.ts";
import { oidcRoutes } from "./routes.ts";
import { IssuerSignIns } from "./sign_ins.ts";
import { checkToken } from "./token.ts";
import { nameOf, userOf } from "./users.ts";

export { type OidcFlags, readOidc } from "./files.ts";

/** Which issuer, and what it knows us as. */
export interface OidcSettings {
  /** As the issuer writes itself, byte by byte. */
  issuer: string;
  /** Of agents and the administration tool: a public client. */
  clientId: string;
  /** Of the dashboard: a client that may redirect to it. */
  webClientId: string;
  /** What it proves itself with, where it is no public client. */
  webClientSecret?: string;
  /** That access tokens have to be for. */
  audience: string;
  /** `sub` of those who run this control plane. */
  operators: readonly string[];
  /** PEM of authorities to trust there besides those of the system. */
  caCerts?: readonly string[];
}

/** What it is opened with. */
export interface OidcOptions extends OidcSettings {
  store: Store;
  /** Address of the dashboard, which the issuer sends browsers back to. */
  dashboard: () => string;
  /** Hears of each sign-in that is refused. */
  refused?: (() => void) | undefined;
  /** Another way to the issuer, for tests. */
  fetch?: typeof fetch;
  /** Longest wait for one answer of the issuer. */
  patienceMs?: number;
  /** ms since the epoch */
  now?: () => number;
}

/** An issuer elsewhere, with what it holds open. */
export interface ExternalIssuer extends Issuer {
  /** Learns of the issuer, so that a mistake in its address is logged at the start; never throws. */
  tryOut(): Promise<void>;
  close(): void;
}

/** Takes tokens of another issuer. It is asked when it is needed first, so it may be away now. */
export function openExternalIssuer(options: OidcOptions): ExternalIssuer {
  const { store, issuer, audience, now = Date.now } = options;
  const operators = new Set(options.operators);
  const remote = new RemoteIssuer({ ...options, now });
  const signIns = new IssuerSignIns(store, issuer, now, options.refused);
  return {
    async users(bearer, from) {
      const claims = await checkToken(bearer, {
        ...{ remote, issuer, audience, now },
        foreign: (claims) => signIns.foreign(claims, nameOf(claims), from),
      });
      if (claims === undefined) return undefined;
      const user = await userOf({ store, remote, issuer }, claims, bearer, from);
      await signIns.good(user, claims, from);
      const { scopes, sub } = claims;
      return {
        userId: user.id,
        operator: operators.has(sub),
        ...(scopes === undefined ? {} : { scopes }),
      };
    },
    routes(app: App) {
      oidcRoutes(app, { ...options, remote, signIns, now });
    },
    tryOut: () => remote.tryOut(),
    close: () => remote.close(),
  };
}
