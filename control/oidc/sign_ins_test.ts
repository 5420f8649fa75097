/** Sign-ins at another issuer: what the audit log has of them, and the dashboard's client with a secret. */
import assert from "node:assert/strict";
import { DASHBOARD, TestControl, type TestOptions } from "../testing.ts";
import { settings as controlSettings } from "../config.ts";
import { readOidc } from "./files.ts";
import { openExternalIssuer } from "./mod.ts";
import { CLI, TestIdp, WEB } from "./testing.ts";

function settings(idp: TestIdp, webClientSecret?: string): NonNullable<TestOptions["oidc"]> {
  return {
    ...{ clientId: CLI, webClientId: WEB, audience: "account", operators: [] },
    ...{ issuer: idp.url, caCerts: idp.caCerts },
    ...(webClientSecret === undefined ? {} : { webClientSecret }),
  };
}

/** The rows of sign-ins, oldest first. */
async function rows(control: TestControl) {
  const all = await control.store.db.selectFrom("audit_log").selectAll()
    .where("action", "in", ["session.start", "user.create"]).where("actor_name", "!=", "admin")
    .orderBy("id").execute();
  return all.map((row) => ({ ...row, changes: JSON.parse(row.changes_json) }));
}

const me = (control: TestControl, token: string) => control.call("GET", "/api/users/me", token);

Deno.test("a sign-in at another issuer is in the audit log once, with the user that it made", async () => {
  await using idp = await TestIdp.start(DASHBOARD);
  await using control = await TestControl.start({ oidc: settings(idp) });
  for (const claims of [{ sid: "one" }, { auth_time: 1_700_000_000 }, {}]) {
    idp.claims = { preferred_username: "kim", ...claims };
    const { access_token, refresh_token } = await idp.signIn("kim");
    // Many requests at once, and the tokens after it, are one sign-in.
    const answers = await Promise.all([1, 2, 3].map(() => me(control, access_token)));
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200]);
    const refresh = { grant_type: "refresh_token", refresh_token: refresh_token! };
    const next = await control.form("/web/token", refresh);
    assert.equal((await me(control, next.body.access_token)).status, 200);
  }
  const [made, ...signIns] = await rows(control);
  assert.equal(made!.action, "user.create");
  assert.equal(signIns.length, 3);
  assert.equal(new Set(signIns.map(({ resource_id }) => resource_id)).size, 3);
  for (const row of signIns) {
    assert.deepEqual([row.outcome, row.actor_name, row.organization_id], [
      ...["done", "kim"],
      made!.resource_id,
    ]);
    assert.match(row.request_id, /^[\da-f-]{36}$/);
    assert.deepEqual([row.changes.method.new, row.changes.client.new], ["issuer", WEB]);
    assert.doesNotMatch(row.changes_json, /eyJ/, "no token is in it");
  }
  assert.match(made!.request_id, /^[\da-f-]{36}$/);
  // Another control plane of the database, or this one after a restart, knows it.
  const again = openExternalIssuer({
    ...{ ...settings(idp), store: control.store, dashboard: () => DASHBOARD },
  });
  try {
    idp.claims = { preferred_username: "kim", sid: "one" };
    const user = await again.users((await idp.signIn("kim")).access_token);
    assert.equal(user?.userId, made!.resource_id);
  } finally {
    again.close();
  }
  assert.equal((await rows(control)).length, 4);
});

Deno.test("a code and a token that another issuer gave to nobody here are refusals in the audit log", async () => {
  await using idp = await TestIdp.start(DASHBOARD);
  await using control = await TestControl.start({ oidc: settings(idp) });
  idp.claims = { preferred_username: "kim" };
  idp.audience = "https://elsewhere.test";
  const { access_token } = await idp.signIn("kim");
  for (let i = 0; i < 3; i++) assert.equal((await me(control, access_token)).status, 401);
  const form = { grant_type: "authorization_code", code: "guessed", redirect_uri: DASHBOARD };
  assert.equal((await control.form("/web/token", form)).status, 400);
  // Of nobody, as far as can be told: no row.
  assert.equal((await me(control, "a.b.c")).status, 401);
  const refused = await rows(control);
  assert.deepEqual(
    refused.map(({ outcome, actor_name, changes }) => [outcome, actor_name, changes]),
    [
      ["refused", "kim", {
        method: { new: "issuer" },
        reason: { new: "a token for another audience" },
      }],
      ["refused", "", { method: { new: "browser" }, reason: { new: "invalid_grant" } }],
    ],
  );
});

Deno.test("a confidential client proves itself with its secret, and its code needs the verifier too", async () => {
  await using idp = await TestIdp.start(DASHBOARD);
  const secret = "s3cret+/%: of&the=client".replaceAll(" ", "_");
  for (const secretBy of ["client_secret_basic", "client_secret_post"] as const) {
    Object.assign(idp, { secret, secretBy });
    idp.begin();
    await using control = await TestControl.start({ oidc: settings(idp, secret) });
    const body = JSON.stringify((await control.call("GET", "/web/sign-in")).body);
    assert.doesNotMatch(body, /s3cret/);
    const fields = await idp.code("kim");
    const tokens = await control.form("/web/token", fields);
    assert.equal(tokens.status, 200, tokens.text);
    assert.doesNotMatch(tokens.text, /s3cret/);
    assert.equal((await me(control, tokens.body.access_token)).status, 200);
    const refresh = { grant_type: "refresh_token", refresh_token: tokens.body.refresh_token };
    const next = await control.form("/web/token", refresh);
    assert.equal(next.status, 200, next.text);
    const token = next.body.refresh_token;
    assert.equal((await control.form("/web/revoke", { token })).status, 200);
    const ended = { grant_type: "refresh_token", refresh_token: token };
    assert.equal((await control.form("/web/token", ended)).body.error, "invalid_grant");
    // Whoever reads the code alone has nothing.
    const stolen = await control.form("/web/token", {
      ...await idp.code("kim"),
      code_verifier: "x".repeat(43),
    });
    assert.deepEqual([stolen.status, stolen.body.error], [400, "invalid_grant"]);
    await using wrong = await TestControl.start({ oidc: settings(idp, "another") });
    const refused = await wrong.form("/web/token", await idp.code("kim"));
    assert.deepEqual([refused.status, refused.body.error], [401, "invalid_client"]);
  }
});

Deno.test("a client's secret is read from its file, and no message says it", async () => {
  const dir = await Deno.makeTempDir({ prefix: "nexd-oidc-" });
  try {
    const file = `${dir}/secret`;
    const flags = {
      ...{ hostname: "control.test", "oidc-issuer": "https://auth.test" },
      ...{ "oidc-web-client-id": WEB, "oidc-client-secret-file": file },
    };
    await Deno.writeTextFile(file, "s3cret\n");
    const read = await readOidc(controlSettings(flags).oidc);
    assert.equal(read?.webClientSecret, "s3cret");
    assert.equal("secretFile" in read!, false);
    const bad: [Record<string, string>, RegExp][] = [
      [{ "oidc-web-client-id": CLI }, /agents are the client nexodus-cli too/],
      [{ "oidc-issuer": "" }, /means nothing without --oidc-issuer/],
    ];
    for (const [change, said] of bad) {
      assert.throws(() => controlSettings({ ...flags, ...change }), said);
    }
    for (const text of ["", "s3cret s3cret", "s3cret\ns3cret", "s".repeat(1025)]) {
      await Deno.writeTextFile(file, text);
      await assert.rejects(readOidc(controlSettings(flags).oidc), (error: Error) => {
        assert.ok(error.message.includes(file) && !error.message.includes("s3cret"));
        return true;
      });
    }
    await Deno.remove(file);
    await assert.rejects(
      readOidc(controlSettings(flags).oidc),
      new RegExp(`Cannot read --oidc-client-secret-file ${file}`),
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
