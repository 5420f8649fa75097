/** Accounts: made, changed, disabled and deleted by the operator; passwords; invitations by a link. */
import assert from "node:assert/strict";
import { SCOPES } from "../../issuer/mod.ts";
import { type Answer, ISSUER, TestControl } from "../../testing.ts";

const ACCOUNTS = "/api/accounts";
const OPERATOR = "token-of-the-operator";
const PASSWORD = "correct horse battery";

async function start(): Promise<TestControl> {
  const control = await TestControl.start();
  await control.addOperator("boss", OPERATOR);
  return control;
}

function signIn(control: TestControl, username: string, password: string): Promise<Answer> {
  const grant = { grant_type: "password", username, password, scope: SCOPES.join(" ") };
  return control.form("/oauth/token", { client_id: "nexodus-cli", ...grant });
}

function refresh(control: TestControl, refresh_token: string): Promise<Answer> {
  const grant = { grant_type: "refresh_token", refresh_token };
  return control.form("/oauth/token", { client_id: "nexodus-cli", ...grant });
}

Deno.test("an operator makes an account whose password is told once, and lists, changes and deletes it", async () => {
  await using control = await start();
  const fields = { username: "kim", full_name: "Kim B", email: "Kim@Control.test" };
  const made = await control.call("POST", ACCOUNTS, OPERATOR, fields);
  assert.equal(made.status, 201, made.text);
  const { id, password, created_at } = made.body;
  assert.match(password, /^[a-z2-9]{5}(-[a-z2-9]{5}){3}$/);
  const kim = { id, ...fields, operator: false, disabled: false, created_at };
  assert.deepEqual(made.body, { ...kim, password });
  const twin = await control.call("POST", ACCOUNTS, OPERATOR, { username: "kim" });
  assert.deepEqual([twin.status, twin.body.id], [409, id]);

  const tokens = await signIn(control, "kim", password);
  assert.equal(tokens.status, 200, tokens.text);
  const bearer = tokens.body.access_token;
  const me = await control.call("GET", "/api/users/me", bearer);
  assert.equal(me.body.username, "kim");
  const own = await control.call("GET", `${ACCOUNTS}/me`, bearer);
  assert.deepEqual(own.body, { ...kim, user_id: me.body.id });
  assert.equal((await control.call("GET", ACCOUNTS, bearer)).status, 403);

  const change = { full_name: "Kim C", email: "kc@control.test" };
  const changed = await control.call("PATCH", `${ACCOUNTS}/${id}`, OPERATOR, change);
  assert.deepEqual(changed.body, { ...kim, ...change, user_id: me.body.id });
  const renamed = await control.call("GET", "/api/users/me", bearer);
  assert.equal(renamed.body.full_name, "Kim C");
  const list = await control.call("GET", `${ACCOUNTS}?filter={"username":"kim"}`, OPERATOR);
  assert.deepEqual(list.body, [changed.body]);

  // With its devices, keys and the organization that is nobody else's.
  const key = await control.addRegKey({ ownerId: me.body.id });
  const device = await control.register({ vpc_id: me.body.id }, key);
  const gone = await control.call("DELETE", `${ACCOUNTS}/${id}`, OPERATOR);
  assert.deepEqual([gone.status, gone.body.username], [200, "kim"]);
  for (const credential of [bearer, key, device.token]) {
    assert.equal((await control.call("GET", "/api/devices", credential)).status, 401);
  }
  assert.equal((await signIn(control, "kim", password)).body.error, "invalid_grant");
  assert.equal((await control.call("GET", `${ACCOUNTS}/${id}`, OPERATOR)).status, 404);
  const anew = await control.call("POST", ACCOUNTS, OPERATOR, { ...fields, password: PASSWORD });
  assert.deepEqual([anew.status, anew.body.password], [201, undefined]);
});

Deno.test("an account that is disabled loses its sessions, signs in no more, and its keys let nobody in", async () => {
  await using control = await start();
  const id = await control.addAccount("kim", PASSWORD);
  const { body: tokens } = await signIn(control, "kim", PASSWORD);
  const { body: me } = await control.call("GET", "/api/users/me", tokens.access_token);
  const key = await control.addRegKey({ ownerId: me.id });
  const device = await control.register({ vpc_id: me.id }, key);
  const stream = await control.watch(tokens.access_token, [{
    kind: "device",
    options: { "vpc-id": me.id },
  }]);
  const disable = (disabled: boolean) =>
    control.call("PATCH", `${ACCOUNTS}/${id}`, OPERATOR, { disabled });
  assert.equal((await disable(true)).body.disabled, true);
  await assert.rejects(async () => {
    for (;;) await stream.next();
  });
  assert.equal((await control.call("GET", "/api/users/me", tokens.access_token)).status, 401);
  assert.equal((await refresh(control, tokens.refresh_token)).body.error, "invalid_grant");
  const again = await signIn(control, "kim", PASSWORD);
  assert.deepEqual([again.status, again.body], [400, {
    error: "invalid_grant",
    error_description: "the account is disabled",
  }]);
  assert.equal(
    (await signIn(control, "kim", "wrong")).body.error_description,
    "the user name or the password is wrong",
  );
  const refused = await control.call("GET", "/api/reg-keys/me", key);
  assert.deepEqual([refused.status, refused.body], [401, {
    error: "invalid reg key",
    reason: "the account of its owner is disabled",
  }]);
  // Its hosts stay in the network until somebody takes them out.
  assert.equal((await control.call("GET", "/api/devices", device.token)).status, 200);
  assert.equal((await disable(false)).status, 200);
  assert.equal((await control.call("GET", "/api/reg-keys/me", key)).status, 200);
  assert.equal((await refresh(control, tokens.refresh_token)).status, 400, "it ended for good");
  assert.equal((await signIn(control, "kim", PASSWORD)).status, 200);
});

Deno.test("a person changes the own password with the old one, and every other session ends", async () => {
  await using control = await start();
  await control.addAccount("kim", PASSWORD);
  const [here, there] = [
    await signIn(control, "kim", PASSWORD),
    await signIn(control, "kim", PASSWORD),
  ];
  const change = (bearer: string, body: unknown) =>
    control.call("POST", `${ACCOUNTS}/me/password`, bearer, body);
  const bearer = here.body.access_token;
  await control.call("GET", "/api/users/me", bearer);
  const table: [object, string, string | undefined][] = [
    [{ password: "another horse" }, "old_password", undefined],
    [{ old_password: PASSWORD }, "password", undefined],
    [{ old_password: "wrong", password: "another horse" }, "old_password", "it is wrong"],
    [{ old_password: PASSWORD, password: "short" }, "password", "it needs at least 8 characters"],
  ];
  for (const [body, field, reason] of table) {
    const { status, body: answer } = await change(bearer, body);
    assert.deepEqual([status, answer.field, answer.reason], [400, field, reason]);
  }
  const changed = await change(bearer, { old_password: PASSWORD, password: "another horse" });
  assert.equal(changed.status, 200, changed.text);
  const { tokens } = changed.body;
  for (const { body } of [here, there]) {
    assert.equal((await control.call("GET", "/api/users/me", body.access_token)).status, 401);
    assert.equal((await refresh(control, body.refresh_token)).status, 400);
  }
  assert.equal((await control.call("GET", "/api/users/me", tokens.access_token)).status, 200);
  assert.equal((await refresh(control, tokens.refresh_token)).status, 200);
  assert.equal((await signIn(control, "kim", PASSWORD)).status, 400);
  assert.equal((await signIn(control, "kim", "another horse")).status, 200);
  // The operator needs no old one, and is told the new one.
  const { body: { id } } = await control.call("GET", `${ACCOUNTS}/me`, tokens.access_token);
  const reset = await control.call("POST", `${ACCOUNTS}/${id}/password`, OPERATOR, {});
  assert.equal((await refresh(control, tokens.refresh_token)).status, 400);
  assert.equal((await signIn(control, "kim", reset.body.password)).status, 200);
});

Deno.test("guesses at the old password of a stolen session are held to a number", async () => {
  await using control = await start();
  await control.addAccount("kim", PASSWORD);
  const { body: { access_token } } = await signIn(control, "kim", PASSWORD);
  await control.call("GET", "/api/users/me", access_token);
  const guess = () =>
    control.call("POST", `${ACCOUNTS}/me/password`, access_token, {
      old_password: "wrong",
      password: "another horse",
    });
  for (let i = 0; i < 5; i++) assert.equal((await guess()).status, 400);
  const { status, headers } = await guess();
  assert.equal(status, 429);
  assert.ok(Number(headers.get("retry-after")) > 0);
});

Deno.test("the only operator can be neither disabled nor deleted nor made an ordinary user", async () => {
  await using control = await start();
  const { body: [boss] } = await control.call("GET", ACCOUNTS, OPERATOR);
  const path = `${ACCOUNTS}/${boss.id}`;
  for (const change of [{ disabled: true }, { operator: false }]) {
    assert.equal((await control.call("PATCH", path, OPERATOR, change)).status, 400);
  }
  assert.equal((await control.call("DELETE", path, OPERATOR)).status, 400);
  const second = { username: "second", operator: true };
  const { body: { id } } = await control.call("POST", ACCOUNTS, OPERATOR, second);
  await control.call("PATCH", `${ACCOUNTS}/${id}`, OPERATOR, { disabled: true });
  assert.equal((await control.call("DELETE", path, OPERATOR)).status, 400);
  await control.call("PATCH", `${ACCOUNTS}/${id}`, OPERATOR, { disabled: false });
  assert.equal((await control.call("PATCH", path, OPERATOR, { operator: false })).status, 200);
  assert.equal((await control.call("GET", ACCOUNTS, OPERATOR)).status, 403);
});

/** An invitation of ada's into the own organization, and the path of its link. */
async function invited(control: TestControl, email = "new@control.test") {
  const { status, body, text } = await control.call("POST", "/api/invitations", control.user, {
    organization_id: control.userId,
    email,
  });
  assert.equal(status, 201, text);
  return { id: body.id as string, link: body.link as string | undefined };
}

Deno.test("a new person accepts an invitation by its link once, with a name and a password", async () => {
  await using control = await start();
  const { link, id } = await invited(control);
  assert.ok(link!.startsWith(`${ISSUER}/invitation?code=`));
  const code = new URL(link!).searchParams.get("code")!;
  const rows = await control.store.db.selectFrom("invitations").selectAll().execute();
  assert.ok(!JSON.stringify(rows).includes(code), "the database holds no code");
  const read = await control.call("GET", `/api/invitations/${id}`, control.user);
  assert.equal(read.body.link, undefined, "it is told once");
  const form = (await control.call("GET", `/invitation?code=${code}`)).text;
  assert.match(form, /<strong>ada<\/strong> invites you/);
  const post = (fields: Record<string, string>, headers = {}) =>
    control.form("/invitation", { code, action: "new", ...fields }, { headers });
  const good = { username: "newcomer", password: PASSWORD, again: PASSWORD };
  const wrong: [Record<string, string>, number][] = [
    [{ ...good, username: "ceo@control.test" }, 400],
    [{ ...good, username: "<b>" }, 400],
    [{ ...good, password: "short", again: "short" }, 400],
    [{ ...good, again: "other" }, 400],
    [{ ...good, username: "boss" }, 409],
    [{ ...good, action: "existing" }, 401],
    [{ ...good, code: "x" }, 404],
  ];
  for (const [fields, status] of wrong) {
    const answer = await post(fields);
    assert.equal(answer.status, status, JSON.stringify(fields));
    assert.ok(!answer.text.includes("<b>"));
  }
  assert.equal((await post(good, { origin: "https://evil.test" })).status, 403);
  const done = await post(good);
  assert.equal(done.status, 200, done.text);
  const { body: tokens } = await signIn(control, "newcomer", PASSWORD);
  const mine = await control.call("GET", "/api/organizations", tokens.access_token);
  assert.deepEqual(
    mine.body.map(({ name }: { name: string }) => name).sort(),
    ["ada", "newcomer"],
  );
  // Nobody has vouched for the address, so further invitations to it are not this person's.
  const account = await control.call("GET", `${ACCOUNTS}/me`, tokens.access_token);
  assert.deepEqual([account.body.email, account.body.operator], ["", false]);
  assert.equal((await post({ ...good, username: "second" })).status, 404);
  assert.equal((await control.call("GET", `/invitation?code=${code}`)).status, 404);
});

Deno.test("who has an account accepts by the link with it, and an address that is known gets no link", async () => {
  await using control = await start();
  await control.addAccount("kim", PASSWORD);
  const { link } = await invited(control);
  const code = new URL(link!).searchParams.get("code")!;
  const fields = { code, action: "existing", username: "kim", password: PASSWORD };
  assert.equal((await control.form("/invitation", fields)).status, 200);
  const { body: tokens } = await signIn(control, "kim", PASSWORD);
  const { body: mine } = await control.call("GET", "/api/organizations", tokens.access_token);
  assert.equal(mine.length, 2);
  await control.store.db.updateTable("accounts").set({ email: "Sol@Control.test" })
    .where("username", "=", "kim").execute();
  assert.equal((await invited(control, "sol@control.test")).link, undefined);
  // Taken back, the link is good for nothing.
  const other = await invited(control, "other@control.test");
  await control.call("DELETE", `/api/invitations/${other.id}`, control.user);
  const path = new URL(other.link!);
  assert.equal((await control.call("GET", `${path.pathname}${path.search}`)).status, 404);
});
