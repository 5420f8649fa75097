/** Users of another issuer: an independent one, a second control plane of ours, and hostile ones. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { DASHBOARD, ISSUER, TestControl, type TestOptions } from "../testing.ts";
import { TestUser } from "../../client/testing.ts";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { CLI, TestIdp, WEB } from "./testing.ts";

const SETTINGS = {
  clientId: CLI,
  webClientId: WEB,
  audience: "account",
  operators: [] as string[],
};

function settings(idp: TestIdp, operators: string[] = []): NonNullable<TestOptions["oidc"]> {
  return { ...SETTINGS, operators, issuer: idp.url, caCerts: idp.caCerts };
}

const me = (control: TestControl, token: string) => control.call("GET", "/api/users/me", token);

Deno.test("users of an independent issuer are known by its tokens, made at the first one, limited by scopes", async () => {
  await using idp = await TestIdp.start(DASHBOARD);
  await using control = await TestControl.start({ oidc: settings(idp, ["kim"]) });
  const login = await control.call("POST", "/device/login/start");
  assert.deepEqual({ ...login.body, server_time: "" }, {
    device_authorization_endpoint: `${idp.url}/device/auth`,
    issuer: idp.url,
    client_id: CLI,
    server_time: "",
  });
  // Nothing of our own issuer is there: no token of it would be good.
  for (const path of ["/.well-known/openid-configuration", "/oauth/keys", "/device"]) {
    assert.equal((await control.call("GET", path)).status, 404, path);
  }
  idp.claims = {
    preferred_username: "kim b",
    given_name: "Kim",
    family_name: "B",
    email: "Kim@Control.test",
    email_verified: true,
  };
  const { access_token, id_token } = await idp.signIn("kim");
  const user = await me(control, access_token);
  assert.equal(user.status, 200, user.text);
  assert.deepEqual([user.body.username, user.body.full_name], ["kim b", "Kim B"]);
  const [vpc] = (await control.call("GET", "/api/vpcs", access_token)).body;
  assert.equal(vpc.id, user.body.id);
  // Who signed in is another thing than what may be done.
  const refused = await me(control, id_token);
  assert.deepEqual([refused.status, refused.headers.get("www-authenticate")], [
    401,
    'Bearer error="invalid_token"',
  ]);
  const invitation = { organization_id: control.userId, email: "kim@control.test" };
  const invited = await control.call("POST", "/api/invitations", control.user, invitation);
  assert.deepEqual([invited.status, invited.body.link], [201, undefined]);
  assert.equal((await control.call("GET", "/api/invitations", access_token)).body.length, 1);
  const relay = { hostname: "relay.test" };
  assert.equal((await control.call("POST", "/api/relay-regions", access_token, relay)).status, 201);
  assert.equal((await control.call("GET", "/api/accounts", access_token)).status, 405);

  // The same person with fewer rights and a new name; another one whose token tells no name.
  idp.scope = "read:users";
  idp.claims = { name: "Kim Changed" };
  const less = (await idp.signIn("kim")).access_token;
  assert.equal((await me(control, less)).body.full_name, "Kim Changed");
  assert.equal((await me(control, less)).body.id, user.body.id);
  assert.equal((await control.call("GET", "/api/devices", less)).status, 403);
  idp.claims = {};
  const sol = await me(control, (await idp.signIn("sol")).access_token);
  assert.deepEqual([sol.body.username, sol.body.full_name], ["sol", ""]);
  assert.notEqual(sol.body.id, user.body.id);
});

Deno.test("a token of another audience, an old one, a changed one and one of another issuer are refused", async () => {
  await using idp = await TestIdp.start(DASHBOARD);
  await using other = await TestIdp.start(DASHBOARD);
  let now = Date.now();
  await using control = await TestControl.start({ oidc: settings(idp), now: () => now });
  const good = (await idp.signIn("kim")).access_token;
  idp.audience = "https://elsewhere.test";
  const [head, body, signature] = good.split(".") as [string, string, string];
  const claims = JSON.parse(Buffer.from(body, "base64url").toString());
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const bad = [
    (await idp.signIn("kim")).access_token,
    (await other.signIn("kim")).access_token,
    `${head}.${part({ ...claims, sub: "root" })}.${signature}`,
    `${part({ alg: "none" })}.${body}.`,
    `${part({ alg: "HS256" })}.${body}.${signature}`,
    `${head}.${body}`,
    "x".repeat(100),
  ];
  for (const token of bad) assert.equal((await me(control, token)).status, 401, token);
  assert.equal((await me(control, good)).status, 200);
  now += 601_000 + 10_000;
  const old = await me(control, good);
  assert.equal(old.status, 401);
  assert.match(old.headers.get("www-authenticate") ?? "", /invalid_token/);
});

Deno.test("new keys of the issuer are fetched when a token names one, others go on while it is away", async () => {
  await using idp = await TestIdp.start(DASHBOARD);
  let now = Date.now();
  await using control = await TestControl.start({ oidc: settings(idp), now: () => now });
  await idp.stop();
  const unknown = await me(control, "a.b.c");
  assert.equal(unknown.status, 503);
  assert.match(unknown.body.reason, /nobody can sign in now: the issuer at localhost:\d+ cannot/);
  assert.ok(Number(unknown.headers.get("retry-after")) > 0);
  assert.equal((await control.call("POST", "/device/login/start")).status, 503);
  await idp.listen();
  now += 3_000;
  const first = (await idp.signIn("kim")).access_token;
  assert.equal((await me(control, first)).status, 200);
  await idp.rotate("ES256");
  const second = (await idp.signIn("kim")).access_token;
  // Not asked again at once, whatever tokens name.
  assert.equal((await me(control, second)).status, 401);
  now += 3_000;
  assert.equal((await me(control, second)).status, 200);
  assert.equal((await me(control, first)).status, 401, "the issuer has dropped its key");
  await idp.stop();
  now += 300_000;
  assert.equal((await me(control, second)).status, 200);
  // A key that it may have made meanwhile is not good yet.
  assert.equal((await me(control, first)).status, 401);
});

Deno.test("a second control plane's issuer signs users in, by a link, and its users are its own", async () => {
  await using home = await TestControl.start();
  await home.addAccount("kim", "correct horse");
  const toHome =
    ((url: string, init: RequestInit) =>
      Promise.resolve(home.app.request(url, init))) as typeof fetch;
  await using control = await TestControl.start({
    oidc: { ...SETTINGS, issuer: ISSUER, fetch: toHome },
  });
  await using person = new TestUser({
    request: (url, init, env) =>
      (url.startsWith(ISSUER) ? home : control).app.request(url, init, env as object),
  }, ["--service-url", "https://control.test"]);
  person.onTold = (line) => {
    const code = line.match(/user_code=([\w-]+)/)?.[1];
    if (code === undefined) return;
    void home.form("/device", {
      ...{ user_code: code, username: "kim", password: "correct horse", action: "allow" },
    });
  };
  const { id, username } = await person.json("user", "login");
  assert.equal(username, "kim");
  assert.equal((await person.json("vpc", "list"))[0].id, id);
  const subject = await control.store.db.selectFrom("users").select("subject")
    .where("id", "=", id).executeTakeFirstOrThrow();
  assert.ok(subject.subject!.startsWith(`${ISSUER} `));
});

/** A server that answers as it is told, with its certificate's authority. */
async function hostile(answer: (request: Request, url: string) => Response | Promise<Response>) {
  const dir = await Deno.makeTempDir({ prefix: "nexd-hostile-" });
  const { cert, key, caPath } = await ensureSelfSigned(dir, ["localhost"]);
  const caCerts = [await Deno.readTextFile(caPath)];
  await Deno.remove(dir, { recursive: true });
  const server: Deno.HttpServer<Deno.NetAddr> = Deno.serve({
    ...{ hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} },
  }, (request): Response | Promise<Response> => answer(request, url));
  const url: string = `https://localhost:${server.addr.port}`;
  return { url, caCerts, [Symbol.asyncDispose]: () => server.shutdown() };
}

Deno.test("metadata that is huge, slow, elsewhere, another's or not TLS lets nobody in, and says why", async () => {
  let behave: (url: string, path: string, request: Request) => Response | Promise<Response>;
  await using server = await hostile((request, url) =>
    behave(url, new URL(request.url).pathname, request)
  );
  const described = (url: string, change: object = {}) =>
    Response.json({
      issuer: url,
      authorization_endpoint: `${url}/auth`,
      token_endpoint: `${url}/token`,
      jwks_uri: `${url}/keys`,
      ...change,
    });
  const endless = () => {
    const kibibytes = new Uint8Array(64 * 1024).fill(32);
    return new Response(new ReadableStream({ pull: (stream) => stream.enqueue(kibibytes) }));
  };
  const silent = (request: Request) =>
    new Promise<Response>((resolve) =>
      request.signal.addEventListener("abort", () => resolve(new Response()))
    );
  const keys = (answer: () => Response) => (url: string, path: string) =>
    path === "/keys" ? answer() : described(url);
  const table: [typeof behave, RegExp][] = [
    [endless, /answers more than 262144 bytes/],
    [(_url, _path, request) => silent(request), /does not answer within 0\.2 s/],
    [() => Response.redirect("https://other.test/"), /sends us elsewhere, with status 302/],
    [(url) => described(url, { issuer: "https://other.test" }), /says that it is another issuer/],
    [
      (url) => described(url, { jwks_uri: "http://127.0.0.1/" }),
      /no jwks_uri that is an https URL/,
    ],
    [(url) => described(url, { token_endpoint: 7 }), /no token_endpoint/],
    [() => Response.json([]), /no JSON object/],
    [() => new Response("no", { status: 500 }), /status 500 and no JSON object/],
    [keys(() => Response.redirect("https://other.test/")), /sends us elsewhere/],
    [keys(endless), /answers more than/],
    [keys(() => Response.json({ keys: Array(100).fill({ kty: "RSA" }) })), /list of at most 64/],
    [keys(() => Response.json({ keys: "x" })), /list of at most 64/],
    [keys(() => Response.json({ keys: [null] })), /keys that are none/],
  ];
  for (const [answer, reason] of table) {
    behave = answer;
    await using control = await TestControl.start({
      oidc: { ...SETTINGS, issuer: server.url, caCerts: server.caCerts, patienceMs: 200 },
    });
    const { status, body } = await me(control, "a.b.c");
    assert.equal(status, 503);
    assert.match(body.reason, reason);
  }
  // A key that everybody would share is none: no token is good with it.
  behave = keys(() => Response.json({ keys: [{ kty: "oct", k: "AAAA" }] }));
  await using control = await TestControl.start({
    oidc: { ...SETTINGS, issuer: server.url, caCerts: server.caCerts },
  });
  assert.equal((await me(control, "a.b.c")).status, 401);
});

Deno.test("the dashboard's sign-in goes to the issuer's page, and its tokens come by this origin", async () => {
  await using idp = await TestIdp.start(DASHBOARD);
  await using control = await TestControl.start({ oidc: settings(idp) });
  const { body } = await control.call("GET", "/web/sign-in");
  assert.equal(body.authorization_endpoint, `${idp.url}/auth`);
  assert.deepEqual([body.client_id, body.redirect_uri, body.token_endpoint], [
    WEB,
    DASHBOARD,
    "/web/token",
  ]);
  const tokens = await idp.signIn("kim");
  const refresh = { grant_type: "refresh_token", refresh_token: tokens.refresh_token! };
  const next = await control.form("/web/token", { ...refresh, client_id: "another" });
  assert.equal(next.status, 200, next.text);
  assert.equal((await me(control, next.body.access_token)).status, 200);
  const refused: [Record<string, string>, Record<string, string>, number][] = [
    [{ grant_type: "client_credentials" }, {}, 400],
    [{ grant_type: "authorization_code", redirect_uri: "https://evil.test/" }, {}, 400],
    [{ grant_type: "authorization_code", code: "x", redirect_uri: DASHBOARD }, {}, 400],
    [refresh, { "sec-fetch-site": "cross-site" }, 403],
  ];
  for (const [fields, headers, status] of refused) {
    const answer = await control.form("/web/token", fields, { headers });
    assert.equal(answer.status, status, answer.text);
  }
  const token = next.body.refresh_token;
  assert.equal((await control.form("/web/revoke", { token })).status, 200);
  const ended = { grant_type: "refresh_token", refresh_token: token };
  assert.equal((await control.form("/web/token", ended)).body.error, "invalid_grant");
});
