/** Access tokens of the issuer: JSON Web Tokens (RFC 7519, RFC 9068). */
import { errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from "jose";
import { isPlainText } from "../http/mod.ts";
import { needed } from "./ask.ts";
import type { RemoteIssuer } from "./remote.ts";

/** With a public key, each: with a shared one everybody who checks could sign. */
const ALGORITHMS = [
  ...["EdDSA", "Ed25519", "ES256", "ES384", "ES512"],
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
];
/** How far clocks may be apart, s. */
const TOLERANCE = 10;
/** Longest `sub`, in characters (OpenID Connect Core, 2). */
const MAX_SUBJECT = 255;

/** What a good token says. */
export interface Claims extends JWTPayload {
  sub: string;
  /** Absent: the token is not limited to some. */
  scopes?: string[];
}

/**
 * The claims of an access token that the issuer made for this control plane and that has not ended;
 * undefined for any other. 503 when it cannot be told, as the issuer's keys are not known.
 */
export async function checkToken(
  token: string,
  { remote, issuer, audience, now, foreign }: {
    remote: RemoteIssuer;
    issuer: string;
    audience: string;
    now: () => number;
    /** Hears of a token that the issuer made for another audience. */
    foreign?: (claims: Claims) => Promise<void>;
  },
): Promise<Claims | undefined> {
  // What is no token at all needs no key to be told so.
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return undefined;
  const options = {
    ...{ issuer, audience, algorithms: ALGORITHMS, clockTolerance: TOLERANCE },
    requiredClaims: ["sub", "exp", "iss", "aud"],
    currentDate: new Date(now()),
  };
  let others: Claims | undefined;
  const check = async (keys: JWTVerifyGetKey) => {
    try {
      return await jwtVerify(token, keys, options);
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return "unknown key" as const;
      // The signature and the issuer were looked at before.
      if (error instanceof errors.JWTClaimValidationFailed && error.claim === "aud") {
        const { sub } = error.payload;
        if (isSubject(sub)) others = { ...error.payload, sub };
      }
      if (error instanceof errors.JOSEError || error instanceof TypeError) return undefined;
      throw error;
    }
  };
  let good = await check(await needed(remote.keys()));
  if (good === "unknown key") {
    // The issuer may have another key by now. When it is away, the token is not good yet.
    const keys = await remote.newKeys().catch(() => undefined);
    good = keys === undefined ? undefined : await check(keys);
  }
  if (others !== undefined) await foreign?.(others);
  if (good === undefined || good === "unknown key") return undefined;
  const { payload, protectedHeader } = good;
  const { sub } = payload;
  if (!isSubject(sub)) return undefined;
  if (isOther(payload, protectedHeader.typ)) return undefined;
  const scopes = scopesOf(payload);
  return { ...payload, sub, ...(scopes === undefined ? {} : { scopes }) };
}

function isSubject(sub: unknown): sub is string {
  return typeof sub === "string" && sub !== "" && sub.length <= MAX_SUBJECT && isPlainText(sub);
}

/** Tokens that the same keys sign and that open nothing: of who signed in, of a refresh, of a logout. */
function isOther(payload: JWTPayload, type: string | undefined): boolean {
  return "at_hash" in payload || "c_hash" in payload || "events" in payload ||
    ["ID", "Refresh", "Offline", "Logout"].includes(String(payload.typ)) ||
    /^(application\/)?(logout|secevent|dpop|token-introspection)\+jwt$/i.test(type ?? "");
}

function scopesOf({ scope, scp }: JWTPayload): string[] | undefined {
  const given = scope ?? scp;
  if (given === undefined) return undefined;
  const words = Array.isArray(given) ? given : String(given).split(" ");
  return words.filter((word): word is string => typeof word === "string");
}
