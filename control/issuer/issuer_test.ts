import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createPublicKey, verify } from "node:crypto";
import type { Device } from "../api/types.ts";
import { type Answer, ISSUER, newKey, TestControl, type TestOptions } from "../testing.ts";
import { SCOPES } from "./mod.ts";

const PASSWORD = "correct horse";
const CLIENT = { client_id: "nexodus-cli" };
const SCOPE = SCOPES.join(" ");

/** A control plane with an account `bob`. */
async function start(options: TestOptions = {}): Promise<TestControl> {
  const control = await TestControl.start(options);
  await control.addAccount("bob", PASSWORD);
  return control;
}

function token(control: TestControl, fields: Record<string, string>, more = {}): Promise<Answer> {
  return control.form("/oauth/token", { ...CLIENT, ...fields }, more);
}

function byPassword(control: TestControl, fields: Record<string, string> = {}): Promise<Answer> {
  const grant = { grant_type: "password", username: "bob", password: PASSWORD, scope: SCOPE };
  return token(control, { ...grant, ...fields });
}

const claimsOf = (jwt: string, part = 1) =>
  JSON.parse(Buffer.from(jwt.split(".")[part]!, "base64url").toString());

Deno.test("a client finds the issuer from the API, and everything that the recorded one named", async () => {
  await using control = await start();
  const login = await control.call("POST", "/device/login/start");
  assert.equal(login.status, 200);
  assert.deepEqual(Object.keys(login.body).sort(), [
    "client_id",
    "device_authorization_endpoint",
    "issuer",
    "server_time",
  ]);
  assert.equal(login.body.client_id, "nexodus-cli");
  assert.ok(Math.abs(Date.parse(login.body.server_time) - Date.now()) < 5_000);
  const { body } = await control.call("GET", "/.well-known/openid-configuration");
  assert.equal(body.issuer, login.body.issuer);
  assert.equal(body.device_authorization_endpoint, login.body.device_authorization_endpoint);
  for (const name of ["authorization_endpoint", "token_endpoint", "jwks_uri"]) {
    assert.ok(body[name].startsWith(`${ISSUER}/`), name);
  }
});

Deno.test("the password grant answers an id token, a refresh token and a number of seconds, by form or Basic", async () => {
  await using control = await start();
  const form = await byPassword(control);
  const basic = await control.form("/oauth/token", {
    grant_type: "password",
    username: "bob",
    password: PASSWORD,
  }, { headers: { authorization: `Basic ${btoa("nexodus-cli:")}` } });
  assert.deepEqual([form.status, basic.status], [200, 200]);
  assert.equal(basic.body.refresh_token, undefined);
  assert.equal(basic.body.scope, "openid");
  const { expires_in, token_type, id_token, access_token, scope } = form.body;
  assert.deepEqual([expires_in, token_type, scope], [600, "Bearer", SCOPE]);
  // As a client does it: keys by their place, then signature, issuer, audience, time.
  const { keys } = (await control.call("GET", "/oauth/keys")).body;
  for (const [jwt, audience] of [[id_token, "nexodus-cli"], [access_token, "account"]]) {
    const { kid, alg } = claimsOf(jwt, 0);
    const jwk = keys.find((key: { kid: string }) => key.kid === kid);
    const [head, claims, signature] = jwt.split(".");
    const key = createPublicKey({ key: jwk, format: "jwk" });
    const signed = Buffer.from(`${head}.${claims}`);
    assert.ok(verify(null, signed, key, Buffer.from(signature, "base64url")));
    const { iss, aud, exp, preferred_username } = claimsOf(jwt);
    assert.deepEqual([alg, iss, aud, preferred_username], ["EdDSA", ISSUER, [audience], "bob"]);
    assert.ok(exp > Date.now() / 1000);
  }
  assert.equal(claimsOf(id_token).name, "Ada Ferrer");
});

Deno.test("a wrong password and an unknown user are told alike, another client is refused", async () => {
  await using control = await start();
  const wrong = await byPassword(control, { password: "x" });
  const unknown = await byPassword(control, { username: "nobody", password: "x" });
  assert.deepEqual([wrong.status, wrong.body.error], [400, "invalid_grant"]);
  assert.deepEqual(unknown.body, wrong.body);
  // An account without a password is opened by none, not even by an empty one.
  await control.store.db.updateTable("accounts").set({ password_hash: "" }).execute();
  assert.equal((await byPassword(control, { password: "" })).status, 400);
  const other = await byPassword(control, { client_id: "someone" });
  assert.deepEqual([other.status, other.body.error], [401, "invalid_client"]);
  assert.equal(
    (await token(control, { grant_type: "magic" })).body.error,
    "unsupported_grant_type",
  );
  const json = await control.call("POST", "/oauth/token", undefined, { grant_type: "password" });
  assert.equal(json.status, 415);
});

Deno.test("wrong passwords are limited for a user and for an address, and the right one is not", async () => {
  let now = Date.now();
  const few = { burst: 2, everyMs: 60_000 };
  await using control = await start({
    now: () => now,
    gate: { pair: few, address: { burst: 3, everyMs: 60_000 }, user: few },
  });
  await control.addAccount("eve", PASSWORD);
  const sign = async (username: string, password: string, from: string) => {
    const answer = await token(control, { grant_type: "password", username, password }, { from });
    return answer.status === 429 ? Number(answer.headers.get("retry-after")) : answer.status;
  };
  for (let i = 0; i < 4; i++) assert.equal(await sign("bob", PASSWORD, "192.0.2.1"), 200);
  assert.deepEqual(
    [await sign("bob", "x", "192.0.2.1"), await sign("bob", "x", "192.0.2.1")],
    [400, 400],
  );
  // Even the right one has to wait now; the other address, too, as the user's own limit is reached.
  assert.equal(await sign("bob", PASSWORD, "192.0.2.1"), 60);
  assert.equal(await sign("bob", PASSWORD, "198.51.100.1"), 60);
  assert.equal(await sign("eve", PASSWORD, "192.0.2.1"), 200);
  assert.equal(await sign("eve", "x", "192.0.2.1"), 400);
  assert.equal(await sign("nobody", "x", "192.0.2.1"), 60);
  now += 61_000;
  assert.equal(await sign("bob", PASSWORD, "192.0.2.1"), 200);
  // One IPv6 host has many addresses of one network.
  for (const host of ["1", "2", "3"]) {
    assert.equal(await sign(`n${host}`, "x", `2001:db8:1:2::${host}`), 400);
  }
  assert.equal(await sign("n4", "x", "2001:db8:1:2:ffff::4"), 60);
  assert.equal(await sign("n4", "x", "2001:db8:1:3::4"), 400);
});

Deno.test("twenty first calls at once make one user with its organization, VPC and group", async () => {
  await using control = await start();
  const { access_token } = (await byPassword(control)).body;
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => control.call("GET", "/api/users/me", access_token)),
  );
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  const [{ body: me }] = answers as [Answer];
  assert.deepEqual(me, { id: me.id, full_name: "Ada Ferrer", picture: "", username: "bob" });
  for (const { body } of answers) assert.equal(body.id, me.id);
  const get = async (path: string) => (await control.call("GET", path, access_token)).body;
  assert.equal((await get(`/api/vpcs/${me.id}`)).organization_id, me.id);
  assert.deepEqual((await get("/api/vpcs")).map((vpc: { id: string }) => vpc.id), [me.id]);
  assert.deepEqual((await get("/api/organizations")).map((o: { id: string }) => o.id), [me.id]);
  assert.equal((await get(`/api/organizations/${me.id}`)).name, "bob");
  assert.equal((await get(`/api/security-groups/${me.id}`)).vpc_id, me.id);
  assert.deepEqual(await get("/api/users"), [me]);
  assert.deepEqual(await get(`/api/users/${me.id}`), me);
  const other = await control.call("GET", `/api/users/${control.userId}`, access_token);
  assert.deepEqual([other.status, other.body], [404, { error: "not found", resource: "user" }]);
  assert.equal(
    (await control.call("GET", `/api/vpcs/${control.userId}`, access_token)).status,
    404,
  );
});

Deno.test("a name that an organization has already does not keep its user out", async () => {
  await using control = await start();
  await control.store.db.insertInto("organizations")
    .values({ id: crypto.randomUUID(), name: "bob", description: "", created_at: "" }).execute();
  const { access_token } = (await byPassword(control)).body;
  assert.equal((await control.call("GET", "/api/users/me", access_token)).status, 200);
});

Deno.test("a host of a user gets its token when it registers and when it does so again, and not in lists", async () => {
  await using control = await start();
  const { access_token } = (await byPassword(control)).body;
  const { id: vpc_id } = (await control.call("GET", "/api/users/me", access_token)).body;
  const body = { vpc_id, public_key: newKey() };
  const made = await control.call("POST", "/api/devices", access_token, body);
  assert.equal(made.status, 201);
  assert.ok((made.body as Device).bearer_token);
  const again = await control.call("POST", "/api/devices", access_token, body);
  assert.deepEqual([again.status, again.body.id], [409, made.body.id]);
  const path = `/api/devices/${made.body.id}`;
  assert.ok((await control.call("PATCH", path, access_token, {})).body.bearer_token);
  const [listed] = (await control.call("GET", "/api/devices", access_token)).body;
  assert.deepEqual([listed.id, listed.bearer_token], [made.body.id, undefined]);
});

Deno.test("a token does what its scopes say and is refused when it is changed, old, or no access token", async () => {
  let now = Date.now();
  await using control = await start({ now: () => now });
  const me = async (bearer: string) => await control.call("GET", "/api/users/me", bearer);
  const narrow = (await byPassword(control, { scope: "openid read:users write:devices.x" })).body;
  assert.equal(narrow.scope, "openid read:users");
  assert.equal((await me(narrow.access_token)).status, 200);
  const call = (method: string, path: string) =>
    control.call(method, path, narrow.access_token, method === "POST" ? {} : undefined);
  assert.equal((await call("GET", "/api/devices")).status, 403);
  assert.equal((await call("POST", "/api/devices")).status, 403);
  const { access_token, id_token, refresh_token } = (await byPassword(control)).body;
  const [head, claims, signature] = access_token.split(".");
  const none = Buffer.from(JSON.stringify({ alg: "none", typ: "at+jwt" })).toString("base64url");
  const forged = [
    id_token,
    refresh_token,
    `${head}.${claims}.${signature[0] === "A" ? "B" : "A"}${signature.slice(1)}`,
    `${none}.${claims}.`,
    `${head}.${claims}`,
    "a.b.c",
    "x".repeat(9000),
  ];
  for (const bearer of forged) assert.equal((await me(bearer)).status, 401, bearer.slice(0, 30));
  const refused = await me(id_token);
  assert.equal(refused.headers.get("www-authenticate"), 'Bearer error="invalid_token"');
  now += 601_000;
  assert.equal((await me(access_token)).status, 401);
  const fresh = await token(control, { grant_type: "refresh_token", refresh_token });
  assert.equal((await me(fresh.body.access_token)).status, 200);
});

Deno.test("a session ends by revocation, by a new generation of the account, and by time", async () => {
  let now = Date.now();
  await using control = await start({ now: () => now });
  const refresh = async (refresh_token: string) =>
    await token(control, { grant_type: "refresh_token", refresh_token });
  const first = (await byPassword(control)).body, second = (await byPassword(control)).body;
  const revoked = await control.form("/oauth/revoke", { ...CLIENT, token: first.refresh_token });
  assert.equal(revoked.status, 200);
  const gone = await refresh(first.refresh_token);
  assert.deepEqual([gone.status, gone.body.error], [400, "invalid_grant"]);
  assert.equal((await control.call("GET", "/api/users/me", first.access_token)).status, 401);
  assert.equal((await control.call("GET", "/api/users/me", second.access_token)).status, 200);
  for (const text of ["", "x", "x.y", `${second.refresh_token}x`, second.access_token]) {
    assert.equal((await refresh(text)).status, 400, text);
    const { status } = await control.form("/oauth/revoke", { ...CLIENT, token: text });
    assert.equal(status, 200);
  }
  now += 89 * 24 * 3600_000;
  const later = await refresh(second.refresh_token);
  assert.equal(later.status, 200);
  now += 2 * 24 * 3600_000;
  assert.equal((await refresh(second.refresh_token)).status, 400);
  await control.store.db.updateTable("accounts").set({ generation: 2 }).execute();
  assert.equal((await refresh(later.body.refresh_token)).status, 400);
});

Deno.test("a signing key is replaced when it is old, and what the last one signed stays good for a while", async () => {
  let now = Date.now();
  await using control = await start({ now: () => now });
  const kids = async () =>
    (await control.call("GET", "/oauth/keys")).body.keys.map(({ kid }: { kid: string }) => kid);
  const [first] = await kids();
  now += 90 * 24 * 3600_000 - 60_000;
  const { access_token } = (await byPassword(control)).body;
  now += 61_000;
  const both = await kids();
  assert.deepEqual([both.length, both[0]], [2, first]);
  assert.equal((await control.call("GET", "/api/users/me", access_token)).status, 200);
  assert.equal(claimsOf((await byPassword(control)).body.access_token, 0).kid, both[1]);
  now += 2 * 24 * 3600_000;
  assert.deepEqual(await kids(), [both[1]]);
  const rows = await control.store.db.selectFrom("signing_keys").selectAll().execute();
  assert.deepEqual(Object.keys(rows[0]!), ["generation", "created_at"]);
});

Deno.test("a user name that no database could keep is wrong, and no failure", async () => {
  await using control = await TestControl.start();
  const { status, body } = await control.form("/oauth/token", {
    ...{ client_id: "nexodus-cli", grant_type: "password" },
    ...{ username: "no\0body", password: "x" },
  });
  assert.deepEqual([status, body.error], [400, "invalid_grant"]);
});
