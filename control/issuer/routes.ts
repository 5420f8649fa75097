import { Buffer } from "node:buffer";
import { type ApiContext, type App, json, originOf, readForm } from "../http/mod.ts";
import type { PasswordGate } from "../users/mod.ts";
import type { DeviceCodes } from "./device_codes.ts";
import type { AuthCodes } from "./auth_codes.ts";
import { WEB_CLIENT } from "./authorize.ts";
import { addressOf } from "./device_pages.ts";
import type { SigningKeys } from "./keys.ts";
import { knownScopes, SCOPES, type Tokens } from "./tokens.ts";

const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";
/** Agents and the administration tool; this client and the dashboard have no secrets of their own. */
const CLIENT_ID = "nexodus-cli";
/** What each may send to the token endpoint. */
const GRANTS: Readonly<Record<string, readonly string[]>> = {
  [CLIENT_ID]: ["password", "refresh_token", DEVICE_GRANT],
  [WEB_CLIENT]: ["authorization_code", "refresh_token"],
};
/** Longest device code and host name that are looked at, in characters. */
const MAX_CODE = 256, MAX_NAME = 64;

/** What the routes work with. */
interface RouteDeps {
  url: () => string;
  keys: SigningKeys;
  tokens: Tokens;
  codes: DeviceCodes;
  authCodes: AuthCodes;
  gate: PasswordGate;
  now: () => number;
}

/** The machine-readable side: discovery, keys, tokens, the start of a device flow. */
export function issuerRoutes(app: App, deps: RouteDeps): void {
  const { url, keys, tokens, codes, gate } = deps;

  app.post("/device/login/start", () =>
    json({
      device_authorization_endpoint: `${url()}/oauth/device_authorization`,
      issuer: url(),
      client_id: CLIENT_ID,
      server_time: new Date(deps.now()).toISOString(),
    }));

  app.get("/.well-known/openid-configuration", () =>
    json({
      issuer: url(),
      authorization_endpoint: `${url()}/oauth/authorize`,
      token_endpoint: `${url()}/oauth/token`,
      jwks_uri: `${url()}/oauth/keys`,
      device_authorization_endpoint: `${url()}/oauth/device_authorization`,
      revocation_endpoint: `${url()}/oauth/revoke`,
      scopes_supported: SCOPES,
      response_types_supported: ["code"],
      grant_types_supported: ["authorization_code", "password", "refresh_token", DEVICE_GRANT],
      code_challenge_methods_supported: ["S256"],
      authorization_response_iss_parameter_supported: true,
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["EdDSA"],
      token_endpoint_auth_methods_supported: ["none", "client_secret_basic"],
    }));

  app.get("/oauth/keys", async () => json({ keys: await keys.publicKeys() }));

  app.post("/oauth/device_authorization", async (c) => {
    const form = await readForm(c.req.raw);
    const client = clientOf(c, form);
    if (client === undefined) return unknownClient();
    if (client !== CLIENT_ID) return refusal(400, "unauthorized_client");
    const started = await codes.start({
      clientId: CLIENT_ID,
      scope: knownScopes(form.get("scope") ?? ""),
      deviceName: plain(form.get("device_name") ?? ""),
      address: addressOf(c),
    });
    if (started === undefined) {
      return refusal(503, "temporarily_unavailable", "too many hosts wait to be let in", {
        "retry-after": "60",
      });
    }
    const page = `${url()}/device`;
    return json({
      device_code: started.deviceCode,
      user_code: started.userCode,
      verification_uri: page,
      verification_uri_complete: `${page}?user_code=${started.userCode}`,
      expires_in: started.expiresIn,
      interval: started.interval,
    });
  });

  app.post("/oauth/token", async (c) => {
    const form = await readForm(c.req.raw);
    const client = clientOf(c, form);
    if (client === undefined) return unknownClient();
    const grant = form.get("grant_type") ?? "";
    if (!Object.values(GRANTS).flat().includes(grant)) {
      return refusal(400, "unsupported_grant_type");
    }
    if (!GRANTS[client]!.includes(grant)) return refusal(400, "unauthorized_client");
    switch (grant) {
      case "authorization_code":
        return await byAuthCode(c, form, client);
      case "password":
        return await byPassword(c, form, client);
      case DEVICE_GRANT:
        return await byDeviceCode(c, form, client);
      default:
        return await byRefresh(form, client);
    }
  });

  app.post("/oauth/revoke", async (c) => {
    const form = await readForm(c.req.raw);
    const client = clientOf(c, form);
    if (client === undefined) return unknownClient();
    const session = await tokens.session(form.get("token") ?? "", client);
    if (session !== undefined) await tokens.end(session, originOf(c));
    // RFC 7009: a token that is not good is no error.
    return new Response(null, { status: 200 });
  });

  async function byPassword(c: ApiContext, form: URLSearchParams, client: string) {
    const [username, password] = [form.get("username"), form.get("password")];
    if (username === null || password === null) return refusal(400, "invalid_request");
    const signedIn = await gate.signIn(username, password, addressOf(c), c.get("requestId"));
    if ("account" in signedIn) {
      const scope = knownScopes(form.get("scope") ?? "");
      const how = { method: "password", from: originOf(c) };
      return json(await tokens.start(signedIn.account, client, scope, how));
    }
    if (signedIn.refused === "wrong") {
      return refusal(400, "invalid_grant", "the user name or the password is wrong");
    }
    if (signedIn.refused === "disabled") {
      return refusal(400, "invalid_grant", "the account is disabled");
    }
    const { seconds } = signedIn;
    return refusal(429, "temporarily_unavailable", `too many tries: wait ${seconds} s`, {
      "retry-after": String(seconds),
    });
  }

  async function byDeviceCode(c: ApiContext, form: URLSearchParams, client: string) {
    const code = form.get("device_code");
    if (code === null || code.length > MAX_CODE) return refusal(400, "invalid_request");
    const decision = await codes.poll(code, client);
    if ("error" in decision) return refusal(400, decision.error);
    const how = { method: "device", from: originOf(c) };
    return json(await tokens.start(decision.account, client, decision.scope, how));
  }

  async function byAuthCode(c: ApiContext, form: URLSearchParams, client: string) {
    const field = (name: string) => form.get(name) ?? "";
    const redeemed = await deps.authCodes.redeem(field("code"), {
      clientId: client,
      redirectUri: field("redirect_uri"),
      verifier: field("code_verifier"),
    });
    if (redeemed !== undefined && "account" in redeemed) {
      const { account, scope, sessionId: id, nonce } = redeemed;
      return json(
        await tokens.start(account, client, scope, {
          ...{ method: "browser", from: originOf(c), id, nonce },
        }),
      );
    }
    if (redeemed !== undefined) await tokens.end(redeemed.stolen, originOf(c));
    return refusal(400, "invalid_grant", "the sign-in is too old or used up: begin it again");
  }

  async function byRefresh(form: URLSearchParams, client: string) {
    const session = await tokens.session(form.get("refresh_token") ?? "", client);
    return session === undefined
      ? refusal(400, "invalid_grant", "the session has ended: sign in again")
      : json(await tokens.answer(session));
  }
}

/** The client, named in the form or, with an empty secret, by HTTP Basic; undefined: none of ours. */
function clientOf(c: ApiContext, form: URLSearchParams): string | undefined {
  const header = c.req.header("authorization");
  const known = (id: string | null) => id !== null && Object.hasOwn(GRANTS, id) ? id : undefined;
  if (header === undefined) return known(form.get("client_id"));
  const [scheme, value = ""] = header.split(" ");
  if (scheme?.toLowerCase() !== "basic") return undefined;
  const [id = null, secret, ...rest] = Buffer.from(value, "base64").toString().split(":");
  return secret === "" && rest.length === 0 ? known(id) : undefined;
}

function unknownClient(): Response {
  return refusal(401, "invalid_client", undefined, { "www-authenticate": 'Basic realm="nexd"' });
}

/** An error as OAuth has it (RFC 6749, 5.2). */
function refusal(
  status: number,
  error: string,
  description?: string,
  headers: Record<string, string> = {},
): Response {
  const body = { error, ...(description === undefined ? {} : { error_description: description }) };
  return json(body, status, headers);
}

/** A host's name for itself, as one short line. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim().slice(0, MAX_NAME);
}
