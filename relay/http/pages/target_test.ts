import assert from "node:assert/strict";
import { routePath, target } from "./mod.ts";

Deno.test("target keeps a path as it was sent", () => {
  const cases: [string, string, string][] = [
    ["http://h/a/../b?x=1", "/a/../b", "?x=1"],
    ["http://h//a", "//a", ""],
    ["http://h?x", "/", "?x"],
    ["http://h", "/", ""],
    ["http://h:80/%2e?a?b#c", "/%2e", "?a?b"],
    ["http://bad host/x", "/x", ""],
    ["/plain?q", "/plain", "?q"],
  ];
  for (const [url, path, query] of cases) assert.deepEqual(target(url), { path, query }, url);
});

Deno.test("routePath decodes everything but a slash", () => {
  assert.equal(routePath("http://h/%64erp"), "/derp");
  assert.equal(routePath("http://h/debug%2fvarz"), "/debug%2fvarz");
  assert.equal(routePath("http://h/a%zz"), "/a%zz");
  assert.equal(routePath("http://h/%ff"), "/%ff");
});
