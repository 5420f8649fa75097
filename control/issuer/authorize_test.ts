/** Signing in with a browser at our own issuer: authorization code with PKCE. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { type Answer, DASHBOARD, ISSUER, TestControl, type TestOptions } from "../testing.ts";

const CLIENT = "nexd-dashboard", PASSWORD = "correct horse";

/** A browser that signs in, with what it keeps. */
class Browser {
  readonly verifier = randomBytes(32).toString("base64url");
  readonly asked: Record<string, string> = {
    response_type: "code",
    client_id: CLIENT,
    redirect_uri: DASHBOARD,
    scope: "openid profile offline_access read:users",
    state: "state-of-this",
    nonce: "nonce-of-this",
    code_challenge: createHash("sha256").update(this.verifier).digest("base64url"),
    code_challenge_method: "S256",
  };

  private constructor(readonly control: TestControl) {}

  static async start(options: TestOptions = {}): Promise<Browser> {
    const control = await TestControl.start(options);
    await control.addAccount("kim", PASSWORD);
    return new Browser(control);
  }

  show(change: Record<string, string> = {}): Promise<Answer> {
    const query = new URLSearchParams({ ...this.asked, ...change });
    return this.control.call("GET", `/oauth/authorize?${query}`);
  }

  send(change: Record<string, string> = {}, headers: Record<string, string> = {}) {
    const fields = { ...this.asked, username: "kim", password: PASSWORD, ...change };
    return this.control.form("/oauth/authorize", fields, { headers });
  }

  /** A code, from the address that the browser is sent to. */
  async code(): Promise<string> {
    const { status, headers, text } = await this.send();
    assert.equal(status, 303, text);
    const there = new URL(headers.get("location")!);
    assert.equal(`${there.origin}${there.pathname}`, DASHBOARD);
    const { state, iss } = Object.fromEntries(there.searchParams);
    assert.deepEqual([state, iss], [this.asked.state, ISSUER]);
    return there.searchParams.get("code")!;
  }

  redeem(code: string, change: Record<string, string> = {}): Promise<Answer> {
    return this.control.form("/oauth/token", {
      grant_type: "authorization_code",
      client_id: CLIENT,
      redirect_uri: DASHBOARD,
      code_verifier: this.verifier,
      code,
      ...change,
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.control[Symbol.asyncDispose]();
  }
}

Deno.test("a browser signs in with a password at the issuer's page, and gets its tokens by a code", async () => {
  await using browser = await Browser.start();
  const { control } = browser;
  const { body: place } = await control.call("GET", "/web/sign-in");
  assert.deepEqual(
    [place.client_id, place.redirect_uri, place.issuer],
    [CLIENT, DASHBOARD, ISSUER],
  );
  assert.equal(new URL(place.authorization_endpoint).origin, new URL(DASHBOARD).origin);
  const page = await browser.show();
  assert.equal(page.status, 200);
  assert.match(page.text, /<label for="username">User name/);
  const policy = page.headers.get("content-security-policy")!;
  assert.match(policy, /form-action 'self' https:\/\/control\.test;/);
  assert.ok(!/unsafe|\*|script-src/.test(policy));
  const { status, body } = await browser.redeem(await browser.code());
  assert.equal(status, 200);
  const claims = JSON.parse(Buffer.from(body.id_token.split(".")[1], "base64url").toString());
  assert.deepEqual([claims.nonce, claims.aud, claims.iss], ["nonce-of-this", [CLIENT], ISSUER]);
  const me = await control.call("GET", "/api/users/me", body.access_token);
  assert.equal(me.body.username, "kim");
  assert.equal((await control.call("GET", "/api/devices", body.access_token)).status, 403);
  const refresh = { grant_type: "refresh_token", refresh_token: body.refresh_token };
  const next = await control.form("/oauth/token", { ...refresh, client_id: CLIENT });
  assert.equal(next.status, 200);
  const other = await control.form("/oauth/token", { ...refresh, client_id: "nexodus-cli" });
  assert.equal(other.body.error, "invalid_grant", "a session is one client's");
});

Deno.test("a browser is sent nowhere but to the dashboard, whatever a link says", async () => {
  await using browser = await Browser.start();
  const elsewhere = [
    "https://evil.test/ui/",
    "https://control.test/ui",
    "https://control.test/ui/?a=1",
    "https://control.test/ui/../api/",
    "https://control.test.evil.test/ui/",
    "https://control.test@evil.test/ui/",
    "http://control.test/ui/",
    "javascript:alert(1)",
    "//evil.test/",
    "",
  ];
  for (const redirect_uri of elsewhere) {
    for (
      const answer of [await browser.show({ redirect_uri }), await browser.send({ redirect_uri })]
    ) {
      assert.deepEqual([answer.status, answer.headers.get("location")], [400, null], redirect_uri);
    }
  }
  const query = new URLSearchParams(browser.asked);
  query.append("redirect_uri", "https://evil.test/");
  const twice = await browser.control.call("GET", `/oauth/authorize?${query}`);
  assert.deepEqual([twice.status, twice.headers.get("location")], [400, null]);
  for (const client_id of ["nexodus-cli", "other", "__proto__"]) {
    assert.equal((await browser.show({ client_id })).status, 400);
  }
  const errors: [Record<string, string>, string][] = [
    [{ response_type: "token" }, "unsupported_response_type"],
    [{ code_challenge: "" }, "invalid_request"],
    [{ code_challenge_method: "plain" }, "invalid_request"],
  ];
  for (const [change, error] of errors) {
    const { status, headers } = await browser.show(change);
    const there = new URL(headers.get("location")!);
    assert.deepEqual([status, `${there.origin}${there.pathname}`], [303, DASHBOARD]);
    assert.deepEqual([there.searchParams.get("error"), there.searchParams.get("state")], [
      error,
      "state-of-this",
    ]);
  }
  const shown = await browser.show({ state: `"><script>x</script>` });
  assert.ok(!shown.text.includes("<script"));
});

Deno.test("a wrong password, another page's form and too many tries make no code", async () => {
  await using browser = await Browser.start({ gate: { pair: { burst: 2, everyMs: 60_000 } } });
  const wrong = await browser.send({ password: "wrong" });
  assert.equal(wrong.status, 401);
  assert.match(wrong.text, /role="alert">The user name or the password is wrong\./);
  assert.ok(!wrong.text.includes('value="wrong"'));
  for (const headers of [{ origin: "https://evil.test" }, { "sec-fetch-site": "cross-site" }]) {
    assert.equal((await browser.send({}, headers as Record<string, string>)).status, 403);
  }
  assert.equal((await browser.send({ password: "wrong" })).status, 401);
  const late = await browser.send();
  assert.deepEqual([late.status, late.headers.get("location")], [429, null]);
});

Deno.test("a code is good once, for a minute, and only for who can prove to have asked for it", async () => {
  let now = Date.now();
  await using browser = await Browser.start({ now: () => now });
  const { control } = browser;
  const code = await browser.code();
  const rows = JSON.stringify(
    await control.store.db.selectFrom("auth_codes").selectAll().execute(),
  );
  assert.ok(!rows.includes(code), "the database holds no code");
  const refused: Record<string, string>[] = [
    { code_verifier: "x".repeat(43) },
    { code_verifier: "" },
    { redirect_uri: "https://evil.test/" },
    { code: "x" },
  ];
  for (const change of refused) {
    const { status, body } = await browser.redeem(code, change);
    assert.deepEqual([status, body.error], [400, "invalid_grant"]);
  }
  const other = await browser.redeem(code, { client_id: "nexodus-cli" });
  assert.equal(other.body.error, "unauthorized_client");
  const { body: tokens } = await browser.redeem(code);
  assert.equal((await control.call("GET", "/api/users/me", tokens.access_token)).status, 200);
  // Used a second time it may have been stolen: what it became ends.
  assert.equal((await browser.redeem(code)).body.error, "invalid_grant");
  assert.equal((await control.call("GET", "/api/users/me", tokens.access_token)).status, 401);
  const late = await browser.code();
  now += 61_000;
  assert.equal((await browser.redeem(late)).body.error, "invalid_grant");
  const password = { grant_type: "password", username: "kim", password: PASSWORD };
  const direct = await control.form("/oauth/token", { ...password, client_id: CLIENT });
  assert.equal(direct.body.error, "unauthorized_client");
});
