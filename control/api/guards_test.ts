import assert from "node:assert/strict";
import { MAX_BODY } from "../http/mod.ts";
import { TestControl } from "../testing.ts";
import { Rates } from "./guards.ts";

/** Sends a request from an address, with these headers. */
async function send(
  control: TestControl,
  path: string,
  { from = "192.0.2.1", method = "GET", ...headers }: Record<string, string> = {},
) {
  const response = await control.app.request(`https://api.control.test${path}`, {
    method,
    headers,
  }, { remoteAddr: { transport: "tcp", hostname: from, port: 1 } });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text };
}

Deno.test("a credential and an address are held to a number of requests, each by itself", async () => {
  let now = 1_000_000;
  await using control = await TestControl.start({ rates: { perSecond: 2, now: () => now } });
  const bearer = `Bearer ${control.user}`;
  const path = "/api/users/me";
  const burst = async (headers: Record<string, string>, most: number) => {
    for (let count = 0;; count++) {
      const { status } = await send(control, path, headers);
      if (status === 429) return count;
      assert.ok(count < most, "no limit");
    }
  };
  // One credential from many addresses, and a key of the same user is another one.
  let at = 0;
  for (
    ;
    (await send(control, path, { authorization: bearer, from: `192.0.2.${at}` })).status === 200;
  ) {
    at++;
  }
  assert.equal(at, 20);
  const key = { authorization: `Bearer ${control.regKey}`, from: "192.0.2.200" };
  assert.equal((await send(control, "/api/devices", key)).status, 200);
  const { headers, text } = await send(control, path, { authorization: bearer });
  assert.equal(headers.get("retry-after"), "1");
  assert.match(text, /too many requests: wait 1 s/);
  now += 500;
  assert.equal((await send(control, path, { authorization: bearer })).status, 200);
  assert.equal((await send(control, path, { authorization: bearer })).status, 429);
  // An address that guesses tokens is stopped before anything is looked up; a whole /64 is one.
  assert.equal(await burst({ from: "2001:db8::1", authorization: "Bearer RK:a" }, 100), 40);
  assert.equal((await send(control, path, { from: "2001:db8::2" })).status, 429);
  assert.equal((await send(control, path, { from: "2001:db8:0:1::1" })).status, 401);
  assert.equal((await send(control, "/private/live", { from: "2001:db8::1" })).status, 200);
});

Deno.test("what a great site's agents ask at once is let through by default", () => {
  const rates = new Rates({ perSecond: 500 });
  for (let i = 0; i < 10_000; i++) rates.countAddress("198.51.100.10");
  assert.throws(() => {
    for (let i = 0; i < 2000; i++) rates.countAddress("198.51.100.10");
  }, { status: 429 });
});

Deno.test("pages of the origins that were named may use the API, and no others", async () => {
  const origin = "https://dash.example";
  await using control = await TestControl.start({ origins: [origin] });
  const authorization = `Bearer ${control.user}`;
  const preflight = {
    method: "OPTIONS",
    "access-control-request-method": "PATCH",
    "access-control-request-headers": "authorization,content-type",
  };
  const allowed = await send(control, "/api/devices", { ...preflight, origin });
  assert.equal(allowed.status, 204);
  assert.equal(allowed.headers.get("access-control-allow-origin"), origin);
  assert.match(allowed.headers.get("access-control-allow-methods")!, /PATCH/);
  assert.equal(allowed.headers.get("access-control-allow-headers"), "authorization, content-type");
  assert.equal(allowed.headers.get("access-control-allow-credentials"), null);
  const answer = await send(control, "/api/devices", { origin, authorization });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("access-control-allow-origin"), origin);
  assert.match(answer.headers.get("access-control-expose-headers")!, /X-Total-Count/);
  assert.equal(answer.headers.get("vary"), "Origin");
  const refused = await send(control, "/api/devices", { origin });
  assert.deepEqual([refused.status, refused.headers.get("access-control-allow-origin")], [
    401,
    origin,
  ]);
  for (
    const other of [
      "https://evil.example",
      "null",
      `${origin}.evil.example`,
      "https://DASH.example",
    ]
  ) {
    const { status, headers } = await send(control, "/api/devices", {
      ...preflight,
      origin: other,
    });
    assert.notEqual(status, 204);
    assert.equal(headers.get("access-control-allow-origin"), null, other);
    const read = await send(control, "/api/devices", { origin: other, authorization });
    assert.equal(read.headers.get("access-control-allow-origin"), null, other);
  }
  await using plain = await TestControl.start();
  const { headers } = await send(plain, "/api/devices", { ...preflight, origin });
  assert.equal(headers.get("access-control-allow-origin"), null);
});

Deno.test("errors that the contract leaves open are told as RFC 9457 has it, to whom can read it", async () => {
  await using control = await TestControl.start();
  const large = "x".repeat(MAX_BODY + 1);
  const ask = async (accept?: string) => {
    const response = await control.app.request("https://api.control.test/api/devices", {
      method: "POST",
      headers: {
        authorization: `Bearer ${control.regKey}`,
        ...(accept === undefined ? {} : { accept }),
      },
      body: large,
    });
    return [response.headers.get("content-type"), await response.json(), response.headers] as const;
  };
  const problem = "application/problem+json";
  for (const accept of [undefined, "*/*", problem, `application/json, ${problem}`]) {
    assert.equal((await ask(accept))[0], problem, accept);
  }
  // Stock clients fail on a body of a type that they do not know.
  const [type, body, headers] = await ask("application/json");
  assert.equal(type, "application/json; charset=utf-8");
  assert.deepEqual(body, {
    error: `request body is larger than ${MAX_BODY} bytes`,
    type: "about:blank",
    title: "Content Too Large",
    status: 413,
    detail: `request body is larger than ${MAX_BODY} bytes`,
    instance: `urn:uuid:${headers.get("x-request-id")}`,
  });
  const known = await control.call("POST", "/api/devices", control.regKey, {});
  assert.deepEqual(
    Object.keys(known.body),
    ["error", "field"],
    "others are as the contract has them",
  );
});

Deno.test("bodies that a database or a client could not take are refused", async () => {
  await using control = await TestControl.start();
  const { device } = await control.register();
  const path = `/api/devices/${device.id}/metadata/k`;
  const put = async (text: string) => {
    const { status, body } = await control.call("PUT", path, control.regKey, text);
    return [status, body.error];
  };
  const odd = "request json is invalid: a text holds NUL or half of a surrogate pair";
  assert.deepEqual(await put('{"a":"\\u0000"}'), [400, odd]);
  assert.deepEqual(await put('{"a\\u0000":1}'), [400, odd]);
  assert.deepEqual(await put('{"a":["\\ud800"]}'), [400, odd]);
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  assert.deepEqual(await put(`{"a":${deep}}`), [
    400,
    "request json is invalid: nested deeper than 32 levels",
  ]);
  assert.equal((await put('{"a":"\\ud83d\\ude00 ünïcode"}'))[0], 200);
  assert.equal((await put('{"__proto__":{"x":1}}'))[0], 200);
  for (const bad of ["/api/devices/%00", `${path}%00`, "/api/devices?sort=%00"]) {
    const { status } = await control.call("GET", bad, control.user);
    assert.equal(status, 400, bad);
  }
});
