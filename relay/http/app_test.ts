import assert from "node:assert/strict";
import { BootstrapDns, companionApp, relayApp } from "./mod.ts";
import { freshSnapshot, testState } from "./testing.ts";

const app = relayApp(testState());
const companion = companionApp(testState());

type Init = { method?: string; headers?: Record<string, string>; from?: string };

function ask(to: typeof app, path: string, init: Init = {}): Promise<Response> {
  const { from = "203.0.113.9", ...request } = init;
  return Promise.resolve(
    to.fetch(new Request(`https://relay.test${path}`, request), { remoteAddress: from }),
  );
}

const local = { from: "127.0.0.1" };

Deno.test("relayApp answers probes to GET and HEAD only", async () => {
  for (const path of ["/derp/probe", "/derp/latency-check", "/%64erp/probe"]) {
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

Deno.test("relayApp says that DERP is off when it is, and still answers probes", async () => {
  const off = relayApp(testState({ derp: false }));
  const answer = await ask(off, "/derp");
  assert.equal(answer.status, 404);
  assert.equal(await answer.text(), "derp server disabled\n");
  assert.equal((await ask(off, "/derp/probe")).status, 200);
  assert.match(await (await ask(off, "/")).text(), /Disabled/);
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
    assert.equal((await ask(to, "/generate_204", { method: "POST" })).status, 204);
    for (const bad of ["a b", "x".repeat(65), "é", "a:b"]) {
      const answer = await ask(to, "/generate_204", { headers: { "X-Nexodus-Challenge": bad } });
      assert.equal(answer.status, 204);
      assert.equal(answer.headers.get("x-nexodus-response"), null, bad);
    }
  }
});

Deno.test("relayApp shows operator's pages to those whom the rule allows only", async () => {
  const paths = ["/debug/", "/debug/varz", "/debug/metrics", "/debug/vars", "/debug/check"];
  for (const path of [...paths, "/debug/traffic", "/debug/x", "/%64ebug/varz"]) {
    for (const to of [app, companion]) {
      for (
        const init of [
          { from: "203.0.113.9" },
          { from: "::ffff:203.0.113.9" },
          { from: "127.0.0.1", headers: { "X-Forwarded-For": "203.0.113.9" } },
        ]
      ) {
        const answer = await ask(to, path, init);
        assert.equal(answer.status, 403, path);
        assert.equal(await answer.text(), "debug access denied\n");
        assert.equal(answer.headers.get("x-frame-options"), null);
      }
    }
  }
  for (const path of paths) {
    for (const method of ["GET", "HEAD", "POST"]) {
      const answer = await ask(app, path, { ...local, method });
      assert.equal(answer.status, 200, path);
      assert.match(answer.headers.get("content-security-policy") ?? "", /; style-src 'self' 'un/);
      assert(Number(answer.headers.get("content-length")) > 0, "HEAD tells the length, too");
      await answer.text();
    }
  }
  assert.equal((await ask(app, "/debug/x", local)).status, 404);
});

Deno.test("relayApp gives the same metrics under both names", async () => {
  const first = await ask(app, "/debug/metrics", local);
  assert.equal(first.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const [a, b] = [await first.text(), await (await ask(app, "/debug/varz", local)).text()];
  const names = (text: string) => text.replace(/ [0-9.e+]+$/gm, "");
  assert.equal(names(a), names(b));
  assert.match(a, /^derp_accepts 0$/m);
});

Deno.test("relayApp tells what the consistency check found", async () => {
  const broken = relayApp(testState({ check: () => Promise.resolve(["one", "<b>two"]) }));
  const answer = await ask(broken, "/debug/check", local);
  assert.equal(answer.status, 500);
  assert.equal(await answer.text(), "one\n<b>two\n");
  const index = await (await ask(broken, "/debug/", local)).text();
  assert.match(index, /Inconsistent/);
  assert.match(index, /&lt;b&gt;two/);
});

Deno.test("relayApp serves its page everywhere else, with browser headers", async () => {
  for (const path of ["/", "/404", "/derp/", "/derp/x", "/generate_204/", "/debugx", "/a%zz"]) {
    for (const method of ["GET", "POST", "DELETE"]) {
      const answer = await ask(app, path, { method });
      assert.equal(answer.status, 200, path);
      assert.equal(answer.headers.get("x-frame-options"), "DENY");
      assert.doesNotMatch(answer.headers.get("content-security-policy")!, /unsafe-inline/);
      const text = await answer.text();
      assert.match(text, /DERP relay/);
      assert.doesNotMatch(text, /\/debug\/|<style|style=|<script|https?:\/\/(?!www\.w3\.org)/);
    }
  }
  assert.match(await (await ask(app, "/", local)).text(), /href="\/debug\/"/);
  const style = await ask(app, "/style.css");
  assert.equal(style.headers.get("content-type"), "text/css; charset=utf-8");
  assert.match(await style.text(), /prefers-color-scheme: dark/);
  assert.equal((await ask(app, "/icon.svg")).headers.get("content-type"), "image/svg+xml");
});

Deno.test("relayApp tells a stranger how many hosts there are only roughly", async () => {
  const snapshot = freshSnapshot();
  snapshot.gauges.keysLocal = 1234;
  let asked = 0;
  const busy = relayApp(testState({
    snapshot: () => {
      asked += 1;
      return Promise.resolve(snapshot);
    },
  }));
  const pages = await Promise.all([1, 2, 3, 4].map(() => ask(busy, "/")));
  const text = await pages[0]!.text();
  assert.match(text, /about 1,200/);
  assert.doesNotMatch(text, /1,?234/);
  assert.equal(asked, 1, "the workers are not asked for each stranger");
});

Deno.test("relayApp stays up when a worker does not tell", async () => {
  const lost = relayApp(testState({ snapshot: () => Promise.reject(new Error("gone")) }));
  const home = await ask(lost, "/");
  assert.equal(home.status, 200);
  assert.match(await home.text(), /Unsure/);
  for (const path of ["/debug/clients", "/debug/metrics"]) {
    const answer = await ask(lost, path, local);
    assert.equal(answer.status, 500);
    assert.equal(await answer.text(), "internal error\n");
  }
});

Deno.test("relayApp has the home that the operator chose", async () => {
  const blank = relayApp(testState({ home: "blank" }));
  for (const path of ["/", "/x", "/style.css"]) {
    const answer = await ask(blank, path);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("x-frame-options"), "DENY");
    assert.equal(await answer.text(), "");
  }
  const elsewhere = relayApp(testState({ home: "https://example.com/a?b=1&c=2" }));
  for (const method of ["GET", "POST"]) {
    const answer = await ask(elsewhere, "/any/path", { method });
    assert.equal(answer.status, 302);
    assert.equal(answer.headers.get("location"), "https://example.com/a?b=1&c=2");
    assert.equal(answer.headers.get("x-frame-options"), "DENY");
    assert.doesNotMatch(await answer.text(), /&c/);
  }
  assert.equal((await ask(elsewhere, "/robots.txt")).status, 200);
  for (const home of ["example.com", "ftp://example.com", "https://", "javascript:alert(1)"]) {
    assert.throws(
      () => relayApp(testState({ home })),
      (error) => (error as { exitCode?: number }).exitCode === 2,
      home,
    );
  }
});

Deno.test("relayApp sends clients from /debug to its index, key included", async () => {
  assert.equal((await ask(app, "/debug?debugkey=a")).headers.get("location"), "/debug/?debugkey=a");
});

Deno.test("relayApp answers bootstrap DNS for the caller's address", async () => {
  const none = await ask(app, "/bootstrap-dns", { method: "POST" });
  assert.equal(none.status, 200);
  assert.equal(await none.text(), "");
  const bootstrapDns = BootstrapDns.start({
    published: ["a.test"],
    unpublished: ["b.test"],
    resolve: (_, type) => type === "A" ? Promise.resolve(["192.0.2.1"]) : Promise.reject(),
  });
  await bootstrapDns.ready;
  const telling = relayApp(testState({ bootstrapDns }));
  const names = async (query: string) =>
    Object.keys(await (await ask(telling, `/bootstrap-dns${query}`)).json());
  assert.deepEqual(await names(""), ["a.test"]);
  assert.deepEqual(await names("?q=b.test"), ["b.test"]);
  bootstrapDns.close();
});

Deno.test("companionApp sends everything but the portal check over to HTTPS", async () => {
  const headers = { host: "relay.test:8080" };
  const answer = await ask(companion, "/abc?x=1", { headers });
  assert.equal(answer.status, 302);
  assert.equal(answer.headers.get("location"), "https://relay.test:8080/abc?x=1");
  assert.equal((await ask(companion, "/derp", { headers })).status, 302);
  assert.equal(
    (await ask(companion, "/", { headers, ...local })).headers.get("location"),
    "https://relay.test:8080/debug/",
  );
  const post = await ask(companion, "/x", { method: "POST" });
  assert.equal(post.status, 400);
  assert.equal(await post.text(), "Use HTTPS\n");
});

Deno.test("companionApp answers ACME challenges that are known, when there is ACME", async () => {
  const path = "/.well-known/acme-challenge/";
  assert.equal((await ask(companion, path + "token", { headers: { host: "h" } })).status, 302);
  const asked: string[] = [];
  const acme = companionApp(testState({
    challenge: (token) => {
      asked.push(token);
      return token === "token_1-A" ? "token_1-A.thumbprint" : undefined;
    },
  }));
  const answer = await ask(acme, path + "token_1-A");
  assert.equal(answer.status, 200);
  assert.equal(await answer.text(), "token_1-A.thumbprint");
  for (const wrong of ["other", "", "a/b", "a%2fb", "a.b", "x".repeat(257)]) {
    assert.equal((await ask(acme, path + wrong)).status, 404, wrong);
  }
  assert.deepEqual(asked, ["token_1-A", "other"], "only what can be a token is looked up");
});
