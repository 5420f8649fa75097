/**
 * The way to the issuer's page and back: authorization code with PKCE (RFC 6749, 7636, 9700). The page
 * asks the control plane where that is, and speaks to this origin alone.
 */
import * as oauth from "oauth4webapi";
import { reason, Refused } from "./refused.ts";

/** What a sign-in under way has to find again, until the browser is back. */
const PENDING = "nexd.sign-in";

/** What the control plane says of its issuer. */
interface Place {
  issuer: string;
  client_id: string;
  authorization_endpoint: string;
  token_endpoint: string;
  revocation_endpoint: string;
  redirect_uri: string;
  scope: string;
}

interface Pending {
  state: string;
  nonce: string;
  verifier: string;
  /** The page that was asked for, `#…`. */
  hash: string;
}

/** The tokens of a session. */
export interface Tokens {
  access_token: string;
  refresh_token?: string;
  expires_in: number;
}

/** Why a sign-in is not gone on with; the message is for people. */
export class Unfit extends Error {}

let known: Promise<Place> | undefined;

/** Where the issuer is; asked for once, and again after a failure. */
function place(): Promise<Place> {
  return known ??= (async () => {
    try {
      const response = await fetch("/web/sign-in", { credentials: "omit", cache: "no-store" });
      if (!response.ok) throw new Refused(response.status, await reason(response));
      return await response.json() as Place;
    } catch (error) {
      known = undefined;
      throw error;
    }
  })();
}

/** Sends the browser to the issuer's page. */
export async function lead(): Promise<void> {
  const { authorization_endpoint, client_id, redirect_uri, scope } = await place();
  if (new URL(redirect_uri).origin !== location.origin) {
    throw new Unfit(`this page is not where the issuer leads back to; open ${redirect_uri}`);
  }
  const pending: Pending = {
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    verifier: oauth.generateRandomCodeVerifier(),
    hash: location.hash,
  };
  sessionStorage.setItem(PENDING, JSON.stringify(pending));
  const there = new URL(authorization_endpoint);
  const fields = {
    ...{ client_id, redirect_uri, scope, response_type: "code" },
    ...{ state: pending.state, nonce: pending.nonce, code_challenge_method: "S256" },
    code_challenge: await oauth.calculatePKCECodeChallenge(pending.verifier),
  };
  for (const [name, value] of Object.entries(fields)) there.searchParams.set(name, value);
  if (there.protocol !== "https:") throw new Unfit("the issuer's page is not at an https address");
  location.assign(there.href);
  // The page goes; what waits for this is not told that nothing happened.
  await new Promise(() => {});
}

/**
 * The tokens of a sign-in that has just come back; undefined when none has.
 *
 * @param signedIn somebody is: then what this tab did not begin is nothing to tell of
 */
export async function comeBack(signedIn: boolean): Promise<Tokens | undefined> {
  const here = new URL(location.href);
  if (!here.searchParams.has("state") && !here.searchParams.has("error")) return undefined;
  const kept = sessionStorage.getItem(PENDING);
  sessionStorage.removeItem(PENDING);
  const pending = kept === null ? undefined : JSON.parse(kept) as Pending;
  // Whatever comes of it: the code is good once, and stands in no history.
  history.replaceState(null, "", location.pathname);
  if (pending?.hash.startsWith("#")) location.replace(pending.hash);
  if (pending === undefined && signedIn) return undefined;
  if (pending === undefined) throw new Unfit("it was begun in another tab, or is over");
  const { server, client, redirect } = parties(await place());
  try {
    const answer = oauth.validateAuthResponse(server, client, here, pending.state);
    const response = await oauth.authorizationCodeGrantRequest(
      ...[server, client, oauth.None(), answer, redirect, pending.verifier] as const,
    );
    const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
      expectedNonce: pending.nonce,
      requireIdToken: true,
    });
    return asTokens(tokens);
  } catch (error) {
    throw told(error);
  }
}

/** New tokens of a session. */
export async function refreshed(token: string): Promise<Tokens> {
  const { token_endpoint, client_id } = await place();
  const body = new URLSearchParams({
    ...{ grant_type: "refresh_token", client_id, refresh_token: token },
  });
  const response = await fetch(token_endpoint, { method: "POST", body, credentials: "omit" });
  if (!response.ok) throw new Refused(response.status, await reason(response));
  return await response.json() as Tokens;
}

/** Ends a session at the issuer. */
export async function revoke(token: string): Promise<void> {
  const { revocation_endpoint, client_id } = await place();
  const body = new URLSearchParams({ client_id, token });
  await fetch(revocation_endpoint, { method: "POST", body, credentials: "omit" });
}

function parties(place: Place) {
  const { issuer, authorization_endpoint, token_endpoint, client_id } = place;
  const server: oauth.AuthorizationServer = {
    ...{ issuer, authorization_endpoint },
    token_endpoint: new URL(token_endpoint, location.origin).href,
    // Straight from the token endpoint, over TLS: that vouches for it (OpenID Connect Core, 3.1.3.7).
    id_token_signing_alg_values_supported: [
      ...["EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512"],
      ...["PS256", "PS384", "PS512"],
    ],
  };
  return { server, client: { client_id }, redirect: place.redirect_uri };
}

function asTokens(
  { access_token, refresh_token, expires_in }: oauth.TokenEndpointResponse,
): Tokens {
  return {
    access_token,
    ...(refresh_token === undefined ? {} : { refresh_token }),
    expires_in: expires_in ?? 60,
  };
}

/** What went wrong on the way back, for people. */
function told(error: unknown): unknown {
  if (error instanceof oauth.AuthorizationResponseError) {
    return new Unfit(
      error.error === "access_denied"
        ? "the issuer let nobody in"
        : (error.error_description ?? error.error).slice(0, 300),
    );
  }
  if (error instanceof oauth.ResponseBodyError) {
    return new Unfit((error.error_description ?? error.error).slice(0, 300));
  }
  if (error instanceof oauth.OperationProcessingError) {
    return new Unfit("the answer is not that of this sign-in; begin it again");
  }
  return error;
}
