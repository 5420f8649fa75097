import assert from "node:assert/strict";
import { type Answer, ISSUER, TestControl } from "../testing.ts";
import { userCode } from "./device_codes.ts";
import { SCOPES } from "./mod.ts";

const PASSWORD = "correct horse";
const CLIENT = { client_id: "nexodus-cli" };

/** A control plane whose clock is moved by hand, with an account `bob`. */
class Flow implements AsyncDisposable {
  now = Date.now();
  control!: TestControl;

  static async start(): Promise<Flow> {
    const flow = new Flow();
    flow.control = await TestControl.start({ now: () => flow.now });
    await flow.control.addAccount("bob", PASSWORD);
    return flow;
  }

  ask(fields: Record<string, string> = {}, from?: string): Promise<Answer> {
    const form = { ...CLIENT, scope: SCOPES.join(" "), ...fields };
    return this.control.form("/oauth/device_authorization", form, from ? { from } : {});
  }

  /** A host's next question, after so many seconds. */
  async poll(device_code: string, seconds = 5): Promise<string | number> {
    this.now += seconds * 1000;
    const grant_type = "urn:ietf:params:oauth:grant-type:device_code";
    const answer = await this.control.form("/oauth/token", { ...CLIENT, grant_type, device_code });
    return answer.status === 200 ? 200 : answer.body.error;
  }

  decide(fields: Record<string, string>, headers: Record<string, string> = {}): Promise<Answer> {
    const form = { username: "bob", password: PASSWORD, action: "allow", ...fields };
    return this.control.form("/device", form, { headers });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.control[Symbol.asyncDispose]();
  }
}

Deno.test("a host that asks is let in by a person on the page, once", async () => {
  await using flow = await Flow.start();
  const { status, body } = await flow.ask({ device_name: "edge\n<b>" });
  assert.equal(status, 200);
  assert.match(body.user_code, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
  assert.deepEqual([body.expires_in, body.interval, body.verification_uri], [
    600,
    5,
    `${ISSUER}/device`,
  ]);
  assert.equal(await flow.poll(body.device_code), "authorization_pending");
  const link = new URL(body.verification_uri_complete);
  const page = await flow.control.call("GET", `${link.pathname}${link.search}`);
  assert.ok(page.text.includes(`value="${body.user_code}"`));
  assert.ok(page.text.includes("edge &lt;b&gt;") && page.text.includes("192.0.2.1"));
  const done = await flow.decide({ user_code: body.user_code });
  assert.equal(done.status, 200);
  assert.match(done.text, /may join/);
  assert.equal(await flow.poll(body.device_code), 200);
  assert.equal(await flow.poll(body.device_code), "expired_token");
  assert.equal((await flow.decide({ user_code: body.user_code })).status, 404);
});

Deno.test("a host is turned away, or its code runs out, and it hears so", async () => {
  await using flow = await Flow.start();
  const denied = (await flow.ask()).body;
  assert.match((await flow.decide({ user_code: denied.user_code, action: "deny" })).text, /turned/);
  assert.equal(await flow.poll(denied.device_code), "access_denied");
  const late = (await flow.ask()).body;
  assert.equal(await flow.poll(late.device_code, 601), "expired_token");
  assert.equal((await flow.decide({ user_code: late.user_code })).status, 404);
  assert.equal(await flow.poll("nonsense"), "expired_token");
});

Deno.test("a host that asks too often is slowed down", async () => {
  await using flow = await Flow.start();
  const { device_code } = (await flow.ask()).body;
  assert.equal(await flow.poll(device_code, 1), "slow_down");
  assert.equal(await flow.poll(device_code, 5), "slow_down");
  assert.equal(await flow.poll(device_code, 15), "authorization_pending");
});

Deno.test("the form tells what is wrong, keeps what was typed but the password, and needs a sign-in for codes", async () => {
  await using flow = await Flow.start();
  const { user_code, device_code } = (await flow.ask()).body;
  const wrong = await flow.decide({ user_code, password: "x<y" });
  assert.equal(wrong.status, 401);
  assert.match(wrong.text, /role="alert">The user name or the password is wrong/);
  assert.ok(wrong.text.includes(user_code) && wrong.text.includes('value="bob"'));
  assert.ok(!wrong.text.includes("x&lt;y") && !wrong.text.includes("x<y"));
  assert.equal((await flow.decide({ user_code: "BCDF-GHJK" })).status, 404);
  assert.equal((await flow.decide({ user_code: "BCDF-GHJK", password: "x" })).status, 401);
  assert.equal((await flow.decide({ user_code, action: "" })).status, 400);
  // As people write it.
  const typed = ` ${user_code.toLowerCase().replace("-", " ")}`;
  assert.equal((await flow.decide({ user_code: typed })).status, 200);
  assert.equal(await flow.poll(device_code), 200);
});

Deno.test("the form of another site is refused, and the page lets nothing in but its own style", async () => {
  await using flow = await Flow.start();
  const { user_code, device_code } = (await flow.ask()).body;
  for (
    const headers of [
      { origin: "https://elsewhere.test" },
      { origin: "null" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
    ] as Record<string, string>[]
  ) {
    assert.equal((await flow.decide({ user_code }, headers)).status, 403);
  }
  assert.equal(await flow.poll(device_code), "authorization_pending");
  const { headers, text } = await flow.control.call("GET", "/device");
  assert.match(headers.get("content-security-policy")!, /^default-src 'none'; style-src 'sha256-/);
  assert.match(
    headers.get("content-security-policy")!,
    /form-action 'self'.*frame-ancestors 'none'/,
  );
  assert.equal(headers.get("referrer-policy"), "same-origin");
  assert.match(headers.get("cache-control")!, /no-store/);
  for (const id of ["user_code", "username", "password"]) {
    assert.ok(text.includes(`<label for="${id}">`) && text.includes(`id="${id}"`), id);
  }
  assert.ok(!/<script|javascript:/i.test(text));
  const own = await flow.decide({ user_code }, { origin: ISSUER, "sec-fetch-site": "same-origin" });
  assert.equal(own.status, 200);
});

Deno.test("hosts that wait are bounded for an address, and make room when their codes run out", async () => {
  await using flow = await Flow.start();
  for (let i = 0; i < 20; i++) assert.equal((await flow.ask()).status, 200);
  const full = await flow.ask();
  assert.deepEqual([full.status, full.body.error], [503, "temporarily_unavailable"]);
  assert.equal((await flow.ask({}, "198.51.100.9")).status, 200);
  flow.now += 601_000;
  assert.equal((await flow.ask()).status, 200);
  const { n } = await flow.control.store.db.selectFrom("device_codes")
    .select((eb) => eb.fn.countAll<number>().as("n")).executeTakeFirstOrThrow();
  assert.equal(n, 1);
});

Deno.test("hosts that wait are bounded for a network, however many addresses it has", async () => {
  await using flow = await Flow.start();
  const statuses: number[] = [];
  for (let i = 0; i < 61; i++) {
    statuses.push((await flow.ask({}, `2001:db8:0:7::${i.toString(16)}`)).status);
  }
  assert.deepEqual([...new Set(statuses.slice(0, 60)), statuses[60]], [200, 503]);
  assert.equal((await flow.ask({}, "2001:db8:0:8::1")).status, 200);
  flow.now += 10_000;
  assert.equal((await flow.ask({}, "2001:db8:0:7::ff")).status, 200);
});

Deno.test("a code is read as people write it and never as part of something longer", () => {
  for (const text of ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "BCDF–GHJK"]) {
    assert.equal(userCode(text), "BCDF-GHJK", text);
  }
  for (const text of ["", "BCDF-GHJ", "BCDF-GHJKL", "ABCD-EFGH", "B".repeat(5000)]) {
    assert.equal(userCode(text), undefined, text.slice(0, 10));
  }
});
