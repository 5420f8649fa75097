import assert from "node:assert/strict";
import { TestControl } from "../../testing.ts";

Deno.test("the description of the API can be read on a page without scripts, from nowhere else", async () => {
  await using control = await TestControl.start();
  const page = await control.call("GET", "/openapi/");
  assert.equal(page.status, 200);
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  const policy = page.headers.get("content-security-policy")!;
  assert.match(policy, /^default-src 'none'; style-src 'sha256-[^']+'; /);
  assert.ok(!/<script|https?:\/\/|src=|onclick|javascript:/i.test(page.text));
  const { body } = await control.call("GET", "/openapi/doc.json");
  for (const [path, methods] of Object.entries(body.paths as Record<string, object>)) {
    for (const method of Object.keys(methods)) {
      assert.ok(page.text.includes(`${method.toUpperCase()}</span>${path}</code>`), path);
    }
  }
  for (const name of Object.keys(body.components.schemas)) {
    assert.ok(page.text.includes(`id="schema-${name}"`), name);
  }
  // Every link leads to something on the page.
  for (const [, target] of page.text.matchAll(/href="#([^"]+)"/g)) {
    assert.ok(page.text.includes(`id="${target}"`), target);
  }
  for (const path of ["/openapi/index.html", "/openapi"]) {
    const { status, headers } = await control.call("GET", path);
    assert.ok(status === 200 || headers.get("location") === "/openapi/", path);
  }
});

Deno.test("the description says which routes need a credential, and whose schemas are whose", async () => {
  await using control = await TestControl.start();
  const { body } = await control.call("GET", "/openapi/doc.json");
  assert.equal(body.openapi, "3.1.0");
  assert.deepEqual(body.components.securitySchemes.bearer, { type: "http", scheme: "bearer" });
  const open = Object.entries(body.paths as Record<string, Record<string, { security?: unknown }>>)
    .filter(([, methods]) => Object.values(methods).some(({ security }) => !security))
    .map(([path]) => path).filter((path) => path.startsWith("/api/"));
  assert.deepEqual(open, []);
  const create = body.paths["/api/vpcs"].post;
  assert.deepEqual(create.requestBody.content["application/json"].schema, {
    $ref: "#/components/schemas/AddVpc",
  });
  const names = body.paths["/api/devices"].get.parameters.map(({ name }: { name: string }) => name);
  assert.deepEqual(names, ["sort", "filter", "range"]);
});

Deno.test("the description has patterns as JSON Schema writes them, without flags or slashes", async () => {
  await using control = await TestControl.start();
  const { body } = await control.call("GET", "/openapi/doc.json");
  const patterns = [...JSON.stringify(body).matchAll(/"pattern":("(?:[^"\\]|\\.)*")/g)]
    .map(([, text]) => new RegExp(JSON.parse(text!), "u"));
  assert.ok(patterns.length > 3);
  const { description } = body.components.schemas.UpdateVpc.properties;
  const line = new RegExp(description.pattern, "u");
  assert.deepEqual(["two words, é 🐈", "", "two\nlines", "\x9b"].map((text) => line.test(text)), [
    ...[true, true, false, false],
  ]);
});
