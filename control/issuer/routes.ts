import { Buffer } from "node:buffer";
import { type ApiContext, type App, json, originOf, readForm } from "../http/mod.ts";
import type { PasswordGate } from "../users/mod.ts";
import type { DeviceCodes } from "./device_codes.ts";
import { addressOf } from "./device_pages.ts";
import type { SigningKeys } from "./keys.ts";
import { knownScopes, SCOPES, type Tokens } from "./tokens.ts";

/** The one client there is: agents and the administration tool, without a secret of its own. */
const CLIENT_ID = "nexodus-cli";
const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";
/** Longest device code and host name that are looked at, in characters. */
const MAX_CODE = 256, MAX_NAME = 64;

/** What the routes work with. */
interface RouteDeps {
  url: () => string;
  keys: SigningKeys;
  tokens: Tokens;
  codes: DeviceCodes;
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
      grant_types_supported: ["password", "refresh_token", DEVICE_GRANT],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["EdDSA"],
      token_endpoint_auth_methods_supported: ["none", "client_secret_basic"],
    }));

  app.get("/oauth/keys", async () => json({ keys: await keys.publicKeys() }));

  // Discovery has to name it. Browsers sign in on the device page.
  app.get("/oauth/authorize", () => refusal(400, "unsupported_response_type"));

  app.post("/oauth/device_authorization", async (c) => {
    const form = await readForm(c.req.raw);
    if (clientOf(c, form) === undefined) return unknownClient();
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
    switch (form.get("grant_type")) {
      case "password":
        return await byPassword(c, form, client);
      case DEVICE_GRANT:
        return await byDeviceCode(c, form, client);
      case "refresh_token":
        return await byRefresh(form, client);
      default:
        return refusal(400, "unsupported_grant_type");
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
  if (header === undefined) return form.get("client_id") === CLIENT_ID ? CLIENT_ID : undefined;
  const [scheme, value = ""] = header.split(" ");
  if (scheme?.toLowerCase() !== "basic") return undefined;
  return Buffer.from(value, "base64").toString() === `${CLIENT_ID}:` ? CLIENT_ID : undefined;
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
