/**
 * The issuer as the control plane names it: found from the API, asked by forms. Every request goes the
 * API client's way, so the same certificates are trusted and the same times and sizes are bounds.
 *
 * @module
 */
import { type Api, ApiFailure, isObject } from "../../api/mod.ts";
import { cleanText } from "../../errors.ts";
import { OnboardRefusal } from "../refusals.ts";
import type { OidcToken } from "../store/mod.ts";

/** What is asked for: who it is, and the use of the API for as long as the session lasts. */
const SCOPE = "openid profile email offline_access read:organizations write:organizations " +
  "read:users write:users read:devices write:devices";
/** Longest text in an answer that is used, in UTF-16 units, and longest life of a token, s. */
const MAX_TEXT = 16_384, MAX_LIFE = 24 * 3600;
/** What an access token is taken to last when the issuer does not say, s. */
const DEFAULT_LIFE = 60;

/** An error that the issuer told (RFC 6749, 5.2; RFC 8628, 3.5). */
export type OAuthError = { error: string; description: string };

/** Addresses and client name of an issuer. */
export interface Issuer {
  /** As it names itself. */
  url: URL;
  clientId: string;
  tokenEndpoint: URL;
  deviceEndpoint: URL;
  /** Where a session is ended, if it can be. */
  revocationEndpoint?: URL;
}

/**
 * Finds the issuer of a control plane.
 *
 * @param told where it is, before it is asked
 * @throws {OnboardRefusal} when it names none that can be used
 * @throws {ApiFailure} when API or issuer cannot be reached
 */
export async function discover(
  api: Api,
  signal?: AbortSignal,
  told: (issuer: URL) => void = () => {},
): Promise<Issuer> {
  const login = await api.startLogin(signal);
  const issuer = httpsUrl(login.issuer, "issuer");
  told(issuer);
  const clientId = text(login.client_id);
  const place = new URL(`${login.issuer}`.replace(/\/$/, "") + "/.well-known/openid-configuration");
  const { status, body } = await api.request(place, { signal });
  if (status !== 200 || !isObject(body)) throw badStatus(status, issuer);
  if (body.issuer !== login.issuer || clientId === undefined) {
    throw new OnboardRefusal(
      `The control plane's issuer at ${issuer.host} describes another one; ` +
        "tell the administrator of the control plane",
    );
  }
  const revocation = body.revocation_endpoint;
  return {
    url: issuer,
    clientId,
    tokenEndpoint: httpsUrl(body.token_endpoint, "token endpoint"),
    deviceEndpoint: httpsUrl(login.device_authorization_endpoint, "device endpoint"),
    ...(revocation === undefined
      ? {}
      : { revocationEndpoint: httpsUrl(revocation, "revocation endpoint") }),
  };
}

/** Asks the token endpoint: a session, or the issuer's error. */
export async function requestToken(
  api: Api,
  issuer: Issuer,
  grant: Record<string, string>,
  options: { now: number; signal?: AbortSignal | undefined },
): Promise<OidcToken | OAuthError> {
  const { status, body } = await post(api, issuer, issuer.tokenEndpoint, grant, options.signal);
  if (status !== 200) return oauthError(status, body, issuer);
  const access = isObject(body) ? text(body.access_token) : undefined;
  if (!isObject(body) || access === undefined) throw badStatus(status, issuer);
  const life = Number(body.expires_in);
  const seconds = Number.isFinite(life) && life > 0 ? Math.min(life, MAX_LIFE) : DEFAULT_LIFE;
  const refreshToken = text(body.refresh_token);
  return {
    accessToken: access,
    ...(refreshToken === undefined ? {} : { refreshToken }),
    expiresAt: options.now + seconds * 1000,
  };
}

/** What a device flow begins with (RFC 8628, 3.2). */
export interface DeviceStart {
  deviceCode: string;
  userCode: string;
  url: string;
  /** Seconds. */
  expiresIn: number;
  interval: number;
}

/** Begins a device flow. */
export async function startDeviceFlow(
  api: Api,
  issuer: Issuer,
  deviceName: string,
  signal?: AbortSignal,
): Promise<DeviceStart> {
  const fields = { scope: SCOPE, ...(deviceName === "" ? {} : { device_name: deviceName }) };
  const { status, body } = await post(api, issuer, issuer.deviceEndpoint, fields, signal);
  if (status !== 200 || !isObject(body)) {
    const { error, description } = oauthError(status, body, issuer);
    throw new OnboardRefusal(
      `The issuer ${issuer.url.host} starts no sign-in by link: ${description || error}; ` +
        "sign in with --username or --reg-key",
    );
  }
  const deviceCode = text(body.device_code), userCode = text(body.user_code);
  const link = body.verification_uri_complete ?? body.verification_uri;
  const expiresIn = Number(body.expires_in), interval = Number(body.interval ?? 5);
  if (deviceCode === undefined || userCode === undefined || !(expiresIn > 0)) {
    throw badStatus(status, issuer);
  }
  return {
    deviceCode,
    userCode: cleanText(userCode, 64),
    url: httpsUrl(link, "sign-in page").href,
    expiresIn: Math.min(expiresIn, 3600),
    interval: interval > 0 ? Math.min(interval, 60) : 5,
  };
}

/** The fields of a sign-in by password. */
export function passwordGrant(username: string, password: string): Record<string, string> {
  return { grant_type: "password", username, password, scope: SCOPE };
}

/** The access token of a kept session, refreshed where it has ended; undefined when that is refused. */
export async function refreshedToken(
  api: Api,
  kept: OidcToken,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const now = Date.now();
  if (kept.expiresAt > now || kept.refreshToken === undefined) return kept.accessToken;
  const grant = { grant_type: "refresh_token", refresh_token: kept.refreshToken };
  const answer = await requestToken(api, await discover(api, signal), grant, { now, signal });
  return "accessToken" in answer ? answer.accessToken : undefined;
}

/** Ends a session at the issuer, where it can be ended; never throws. */
export async function revoke(
  api: Api,
  issuer: Issuer,
  token: string,
  signal?: AbortSignal,
): Promise<boolean> {
  if (issuer.revocationEndpoint === undefined) return false;
  try {
    const fields = { token, token_type_hint: "refresh_token" };
    const { status } = await post(api, issuer, issuer.revocationEndpoint, fields, signal);
    return status === 200;
  } catch {
    return false;
  }
}

function post(
  api: Api,
  { clientId }: Issuer,
  url: URL,
  fields: Record<string, string>,
  signal?: AbortSignal,
) {
  return api.request(url, { form: { client_id: clientId, ...fields }, signal });
}

/** The error in an answer; one that says "later" is a failure that is tried again. */
function oauthError(status: number, body: unknown, issuer: Issuer): OAuthError {
  const said = isObject(body) ? body : {};
  const error = cleanText(text(said.error) ?? `status ${status}`, 64);
  const description = cleanText(text(said.error_description) ?? "", 160);
  if (status === 429 || status >= 500) throw badStatus(status, issuer.url, description || error);
  return { error, description };
}

function badStatus(status: number, at: URL | Issuer, said = ""): ApiFailure {
  const host = at instanceof URL ? at.host : at.url.host;
  return status === 200
    ? new ApiFailure(`Cannot use the answer of the issuer ${host}: it is not OpenID Connect`, {
      kind: "protocol",
    })
    : new ApiFailure(
      `The issuer ${host} answered ${status}${said === "" ? "" : ` (${said})`} to the sign-in`,
      { kind: "status", status },
    );
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" && value.length <= MAX_TEXT ? value : undefined;
}

/** A password or a token goes nowhere without TLS. */
function httpsUrl(value: unknown, what: string): URL {
  const given = text(value) ?? "";
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url?.protocol !== "https:" || url.username !== "" || url.password !== "") {
    throw new OnboardRefusal(
      `The control plane's ${what} is ${
        given === "" ? "missing" : cleanText(given, 100)
      } and not ` +
        "an https URL; tell the administrator of the control plane, or sign in with --reg-key",
    );
  }
  return url;
}
