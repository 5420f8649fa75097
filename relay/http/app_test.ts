import assert from "node:assert/strict";
import { companionApp, relayApp } from "./mod.ts";

const state = {
  version: "test",
  check: () => [] as string[],
  metrics: { contentType: "text/plain; version=0.0.4", text: () => Promise.resolve("metric 1\n") },
};
const app = relayApp(state);
const companion = companionApp(state);

type Init = { method?: string; headers?: Record<string, string>; from?: string };

function ask(to: typeof app, path: string, init: Init = {}): Promise<Response> {
  const { from = "203.0.113.9", ...request } = init;
  return Promise.resolve(
    to.fetch(new Request(`https://relay.test${path}`, request), { remoteAddress: from }),
  );
}

Deno.test("relayApp answers probes to GET and HEAD only", async () => {
  for (const path of ["/derp/probe", "/derp/latency-check"]) {
    for (const method of ["GET", "HEAD"]) {
      const answer = await ask(app, path, { method });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("access-control-allow-origin"), "*");
      assert.equal(await answer.text(), "");
    }
    for (const method of ["POST", "OPTIONS"]) {
      const answer = await ask(app, path, { method });
      assert.equal(answer.status, 405);
      assert.equal(answer.headers.get("access-control-allow-origin"), null);
      assert.equal(await answer.text(), "bogus probe method\n");
    }
  }
});

Deno.test("relayApp asks for an upgrade on /derp", async () => {
  const answer = await ask(app, "/derp");
  assert.equal(answer.status, 426);
  assert.equal(answer.headers.get("content-type"), "text/plain; charset=utf-8");
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
  assert.equal(await answer.text(), "DERP requires connection upgrade\n");
});

Deno.test("both apps answer both worlds' captive portal challenges", async () => {
  for (const to of [app, companion]) {
    const both = await ask(to, "/generate_204?t=1", {
      headers: { "X-Tailscale-Challenge": "ts_a:b", "X-Nexodus-Challenge": "nx_relay.test" },
    });
    assert.equal(both.status, 204);
    assert.equal(both.headers.get("x-tailscale-response"), "response ts_a:b");
    assert.equal(both.headers.get("x-nexodus-response"), "response nx_relay.test");
    assert.match(both.headers.get("cache-control") ?? "", /no-store/);
    for (const bad of ["a b", "x".repeat(65), "é", "a:b"]) {
      const answer = await ask(to, "/generate_204", { headers: { "X-Nexodus-Challenge": bad } });
      assert.equal(answer.status, 204);
      assert.equal(answer.headers.get("x-nexodus-response"), null, bad);
    }
  }
});

Deno.test("relayApp shows operator's pages to loopback only", async () => {
  const paths = ["/debug/", "/debug/varz", "/debug/check", "/debug/x"];
  for (const path of paths) {
    for (
      const init of [
        { from: "203.0.113.9" },
        { from: "::ffff:203.0.113.9" },
        { from: "127.0.0.1", headers: { "X-Forwarded-For": "203.0.113.9" } },
      ]
    ) {
      const answer = await ask(app, path, init);
      assert.equal(answer.status, 403);
      assert.equal(await answer.text(), "debug access denied\n");
    }
  }
  for (const from of ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]) {
    assert.equal(await (await ask(app, "/debug/varz", { from })).text(), "metric 1\n");
  }
  const from = "127.0.0.1";
  const check = await ask(app, "/debug/check", { from });
  assert.equal(await check.text(), "derp.Server ConsistencyCheck okay");
  assert.equal((await ask(app, "/debug/x", { from })).status, 404);
  const index = await ask(app, "/debug", { from });
  assert.equal(index.status, 307);
  assert.equal(index.headers.get("location"), "/debug/");
});

Deno.test("relayApp serves a page everywhere else, with browser headers", async () => {
  for (const path of ["/", "/404", "/derp/", "/derp/x", "/generate_204/"]) {
    const answer = await ask(app, path);
    assert.equal(answer.status, 200, path);
    assert.equal(answer.headers.get("x-frame-options"), "DENY");
    assert.match(await answer.text(), /DERP relay/);
  }
  const robots = await ask(app, "/robots.txt");
  assert.equal(await robots.text(), "User-agent: *\nDisallow: /\n");
  const doubled = await ask(app, "//derp?x=1");
  assert.equal(doubled.status, 307);
  assert.equal(doubled.headers.get("location"), "/derp?x=1");
});

Deno.test("companionApp sends everything but the portal check over to HTTPS", async () => {
  const headers = { host: "relay.test" };
  const answer = await ask(companion, "/abc?x=1", { headers });
  assert.equal(answer.status, 302);
  assert.equal(answer.headers.get("location"), "https://relay.test/abc?x=1");
  assert.equal((await ask(companion, "/derp", { headers })).status, 302);
  const post = await ask(companion, "/x", { method: "POST" });
  assert.equal(post.status, 400);
  assert.equal(await post.text(), "Use HTTPS\n");
});
