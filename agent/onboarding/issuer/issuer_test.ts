import assert from "node:assert/strict";
import { ensureSelfSigned } from "../../../relay/cert/mod.ts";
import { type Api, ApiClient, ApiFailure } from "../../api/mod.ts";
import { OnboardRefusal } from "../refusals.ts";
import type { PendingLogin } from "../store/mod.ts";
import { discover, type Issuer, requestToken } from "./client.ts";
import { deviceFlow, type LoginPrompt } from "./device_flow.ts";
import { type Kept, UserSession } from "./session.ts";
import { underLoad } from "../../../scripts/lab/support.ts";

const URL_ = "https://auth.lab/realms/x";
const LOGIN = {
  issuer: URL_,
  client_id: "cli",
  device_authorization_endpoint: "https://auth.lab/device",
};
const FOUND = { issuer: URL_, token_endpoint: "https://auth.lab/token" };
const STARTED = {
  device_code: "dc",
  user_code: "BCDF-GHJK",
  verification_uri_complete: "https://auth.lab/page?user_code=BCDF-GHJK",
  expires_in: 600,
  interval: 0.001,
};
const TOKENS = { access_token: "at", refresh_token: "rt", expires_in: 600 };

type Reply = { status: number; body: unknown } | ApiFailure;
const ok = (body: unknown): Reply => ({ status: 200, body });
const error = (code: string, status = 400): Reply => ({ status, body: { error: code } });

/** An API whose issuer answers in turn; forms that it got. */
class FakeApi {
  forms: Record<string, string>[] = [];
  places: string[] = [];
  constructor(readonly replies: Reply[], readonly login: unknown = LOGIN, found: unknown = FOUND) {
    this.found = found;
  }
  found: unknown;

  get api(): Api {
    return {
      startLogin: () => Promise.resolve(this.login),
      request: (url: URL, { form }: { form?: Record<string, string> }) => {
        this.places.push(url.href);
        if (form === undefined) return Promise.resolve(ok(this.found));
        this.forms.push(form);
        const reply = this.replies.shift();
        if (reply === undefined) throw new Error("nothing more was expected");
        return reply instanceof ApiFailure ? Promise.reject(reply) : Promise.resolve(reply);
      },
    } as unknown as Api;
  }
}

const away = () => new ApiFailure("away", { kind: "unreachable" });
const refusal = (pattern: RegExp) => (e: unknown) =>
  e instanceof OnboardRefusal && pattern.test(e.message);

Deno.test("an issuer is used only over https and only as what it calls itself", async () => {
  const { api, places } = new FakeApi([]);
  const issuer = await discover(api);
  assert.deepEqual(places, [`${URL_}/.well-known/openid-configuration`]);
  assert.equal(issuer.tokenEndpoint.href, FOUND.token_endpoint);
  const cases: [unknown, unknown, RegExp][] = [
    [
      { ...LOGIN, issuer: "http://auth.lab" },
      FOUND,
      /issuer is http:\/\/auth.lab and not an https/,
    ],
    [{ ...LOGIN, issuer: undefined }, FOUND, /issuer is missing/],
    [{ ...LOGIN, issuer: "https://user:pw@auth.lab" }, FOUND, /not an https URL/],
    [{ ...LOGIN, device_authorization_endpoint: "http://x" }, FOUND, /device endpoint is http:/],
    [LOGIN, { ...FOUND, issuer: "https://other" }, /issuer at auth.lab describes another one/],
    [LOGIN, { ...FOUND, token_endpoint: "http://auth.lab/token" }, /token endpoint is http:/],
  ];
  for (const [login, found, pattern] of cases) {
    await assert.rejects(discover(new FakeApi([], login, found).api), refusal(pattern));
  }
});

Deno.test("answers of an issuer are read within bounds, and one that says later is tried again", async () => {
  const issuer = await discover(new FakeApi([]).api);
  const ask = (reply: Reply) => requestToken(new FakeApi([reply]).api, issuer, {}, { now: 0 });
  assert.deepEqual(await ask(ok(TOKENS)), {
    accessToken: "at",
    refreshToken: "rt",
    expiresAt: 600_000,
  });
  const lives: [unknown, number][] = [["600", 600], [undefined, 60], [-1, 60], [1e12, 86_400]];
  for (const [expires_in, seconds] of lives) {
    const token = await ask(ok({ access_token: "a", expires_in }));
    assert.equal((token as { expiresAt: number }).expiresAt, seconds * 1000);
  }
  for (const body of [undefined, [], {}, { access_token: 7 }, { access_token: "x".repeat(1e5) }]) {
    await assert.rejects(ask(ok(body)), /answer of the issuer auth.lab: it is not OpenID Connect/);
  }
  assert.deepEqual(await ask(error("invalid_grant")), { error: "invalid_grant", description: "" });
  const said = await ask({
    status: 401,
    body: { error: "a\nb", error_description: "\u001b[31mc" },
  });
  assert.deepEqual(said, { error: "a b", description: "[31mc" });
  for (const status of [429, 500, 503]) {
    await assert.rejects(ask(error("x", status)), (e) => e instanceof ApiFailure && e.transient);
  }
});

/** Runs a device flow against replies. */
async function flow(replies: Reply[], more: { pending?: PendingLogin; abort?: AbortSignal } = {}) {
  const fake = new FakeApi(replies);
  const issuer: Issuer = await discover(fake.api);
  const shown: (LoginPrompt | undefined)[] = [], kept: (PendingLogin | undefined)[] = [];
  let now = 0;
  const run = () =>
    deviceFlow({
      api: fake.api,
      issuer,
      hostname: "edge-a",
      pending: more.pending,
      signal: more.abort ?? new AbortController().signal,
      show: (prompt) => shown.push(prompt),
      remember: (pending) => kept.push(pending),
      now: () => now += 1000,
    });
  return { fake, shown, kept, run };
}

Deno.test("a device flow shows its link, waits out what passes, and ends with a session", async () => {
  const { fake, shown, kept, run } = await flow([
    ok(STARTED),
    error("authorization_pending"),
    error("some_other_error"),
    ok(TOKENS),
  ]);
  const token = await run();
  assert.equal(token?.accessToken, "at");
  assert.deepEqual(shown.map((prompt) => prompt?.url), [
    STARTED.verification_uri_complete,
    undefined,
  ]);
  assert.deepEqual([kept[0]?.deviceCode, kept.at(-1)], ["dc", undefined]);
  assert.equal(fake.forms[0]!.device_name, "edge-a");
  assert.deepEqual(fake.forms[1], {
    client_id: "cli",
    grant_type: "urn:ietf:params:oauth:grant-type:device_code",
    device_code: "dc",
  });
});

Deno.test("a link is asked for without verification only when told to, and a silent issuer given up", async () => {
  const dir = await Deno.makeTempDir();
  const { cert, key } = await ensureSelfSigned(dir, ["127.0.0.1"]);
  let silent = false;
  const hang = Promise.withResolvers<void>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} },
    async (request) => {
      const { origin, pathname } = new URL(request.url);
      if (silent) await hang.promise;
      if (pathname === "/device/login/start") {
        return Response.json({
          ...LOGIN,
          issuer: origin,
          device_authorization_endpoint: `${origin}/device`,
        });
      }
      return Response.json(
        pathname === "/device" ? STARTED : { issuer: origin, token_endpoint: `${origin}/token` },
      );
    },
  );
  const apiUrl = new URL(`https://127.0.0.1:${server.addr.port}`);
  const client = (insecureSkipTlsVerify: boolean) =>
    new ApiClient({ apiUrl, insecureSkipTlsVerify, timeoutMs: 200 });
  const [open, careful] = [client(true), client(false)];
  const ask = async (api: Api, issuer: Issuer) => {
    const shown = Promise.withResolvers<LoginPrompt | undefined>(), stop = new AbortController();
    const flow = deviceFlow({
      api,
      issuer,
      hostname: "edge-a",
      pending: undefined,
      signal: stop.signal,
      show: shown.resolve,
      remember: () => {},
      now: () => Date.now(),
    });
    const first = await Promise.race([shown.promise, flow]);
    stop.abort();
    await flow.catch(() => {});
    return first;
  };
  try {
    const issuer = await discover(open);
    assert.equal((await ask(open, issuer) as LoginPrompt).code, STARTED.user_code);
    await assert.rejects(discover(careful), /--ca/);
    await assert.rejects(requestToken(careful, issuer, {}, { now: 0 }), ApiFailure);
    silent = true;
    const began = performance.now();
    await assert.rejects(requestToken(open, issuer, {}, { now: 0 }), /200 ms|time|answer/);
    assert(performance.now() - began < underLoad(2_000));
  } finally {
    hang.resolve();
    open.close();
    careful.close();
    await server.shutdown();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a code that runs out is replaced, one of an earlier process is gone on with", async () => {
  const next = { ...STARTED, device_code: "dc2" };
  const { fake, kept, run } = await flow([
    ok(STARTED),
    error("expired_token"),
    ok(next),
    ok(TOKENS),
  ]);
  await run();
  assert.deepEqual(kept.map((pending) => pending?.deviceCode), ["dc", "dc2", undefined]);
  assert.equal(fake.forms.at(-1)!.device_code, "dc2");
  const pending: PendingLogin = {
    deviceCode: "old",
    userCode: "X",
    url: "https://auth.lab/page",
    expiresAt: 600_000,
    interval: 0.001,
  };
  const resumed = await flow([ok(TOKENS)], { pending });
  assert.equal((await resumed.run())?.accessToken, "at");
  assert.deepEqual(resumed.fake.forms.map((form) => form.device_code), ["old"]);
  const late = await flow([ok(STARTED), ok(TOKENS)], { pending: { ...pending, expiresAt: 1 } });
  await late.run();
  assert.equal(late.fake.forms.at(-1)!.device_code, "dc");
});

Deno.test("a host that is turned away says so, one that is stopped keeps its code", async () => {
  const denied = await flow([ok(STARTED), error("access_denied")]);
  await assert.rejects(denied.run(), refusal(/turned away on the sign-in page of auth.lab/));
  assert.deepEqual([denied.kept.at(-1), denied.shown.at(-1)], [undefined, undefined]);
  const none = await flow([error("unauthorized_client")]);
  await assert.rejects(
    none.run(),
    refusal(/starts no sign-in by link: .*; sign in with --username/),
  );
  const stop = new AbortController();
  const stopped = await flow([ok({ ...STARTED, interval: 60 })], { abort: stop.signal });
  const ended = stopped.run();
  while (stopped.kept.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  stop.abort();
  assert.equal(await ended, undefined);
  assert.deepEqual(stopped.kept.map((pending) => pending?.deviceCode), ["dc"]);
  // A page that is not https could be anybody's.
  const plain = await flow([ok({ ...STARTED, verification_uri_complete: "http://auth.lab" })]);
  await assert.rejects(plain.run(), refusal(/sign-in page is http:/));
});

Deno.test("a session refreshes its token before it ends, and signs in again when it has ended", async () => {
  let now = 0;
  const kept: Kept = {};
  const asked: string[] = [];
  const fake = new FakeApi([
    ok(TOKENS),
    ok({ access_token: "at2", expires_in: 600 }),
    error("invalid_grant"),
    ok({ ...TOKENS, access_token: "at3" }),
    away(),
  ]);
  const session = new UserSession({
    api: fake.api,
    credential: { kind: "password", username: "ada" },
    hostname: "",
    kept: {},
    remember: (change) => Object.assign(kept, change),
    show: () => {},
    askPassword: (name) => Promise.resolve(`secret of ${asked.push(name)}`),
    now: () => now,
  });
  const { signal } = new AbortController();
  assert.equal(await session.accessToken(signal), "at");
  assert.equal(await session.accessToken(signal), "at");
  now = 580_000;
  assert.equal(await session.accessToken(signal), "at2");
  // The refresh token stays what it was when no other one comes.
  assert.equal(kept.authToken?.refreshToken, "rt");
  now = 1_170_000;
  assert.equal(await session.accessToken(signal), "at3");
  session.forget();
  assert.equal(kept.authToken, undefined);
  await assert.rejects(session.accessToken(signal), /away/);
  assert.deepEqual(fake.forms.map((form) => form.grant_type), [
    "password",
    "refresh_token",
    "refresh_token",
    "password",
    "password",
  ]);
  // Typed once; it is asked for again only after it was refused.
  assert.deepEqual(asked, ["ada"]);
});

Deno.test("a session tells where its issuer is as soon as that is known, and asks again when it is not there", async () => {
  const moved = { ...FOUND, token_endpoint: "https://token.lab:8443/token" };
  const fake = new FakeApi([away(), ok(TOKENS)], LOGIN, { ...FOUND, issuer: "another" });
  const session = new UserSession({
    api: fake.api,
    credential: { kind: "password", username: "ada", password: "secret" },
    hostname: "",
    kept: {},
    remember: () => {},
    show: () => {},
    askPassword: () => Promise.reject(new Error("nobody")),
    now: () => 0,
  });
  const { signal } = new AbortController();
  assert.deepEqual(session.servers, []);
  await assert.rejects(session.accessToken(signal), refusal(/describes another one/));
  assert.deepEqual(session.servers, [{ host: "auth.lab", port: 443 }]);
  fake.found = FOUND;
  await assert.rejects(session.accessToken(signal), /away/);
  fake.found = moved;
  assert.equal(await session.accessToken(signal), "at");
  assert.deepEqual(session.servers, [
    { host: "auth.lab", port: 443 },
    { host: "token.lab", port: 8443 },
  ]);
});
