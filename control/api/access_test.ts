import assert from "node:assert/strict";
import { openToken } from "../auth/mod.ts";
import { MAX_BODY } from "../http/mod.ts";
import { newKey, TestControl } from "../testing.ts";
import type { Device } from "./types.ts";

Deno.test("a request without a usable credential is refused in the form of its kind", async () => {
  await using control = await TestControl.start();
  const get = async (bearer?: string) => {
    const answer = await control.call("GET", "/api/devices", bearer);
    return [answer.status, answer.headers.get("content-type"), answer.text];
  };
  const json = "application/json; charset=utf-8";
  assert.deepEqual(await get(), [401, "text/plain", "Jwt is missing"]);
  assert.deepEqual(await get("raw Basic abc"), [401, null, ""]);
  assert.deepEqual(await get("raw Bearer a b"), [401, null, ""]);
  assert.deepEqual(await get("RK:nope"), [401, json, '{"error":"invalid reg key"}']);
  assert.deepEqual(await get("DT:nope"), [401, json, '{"error":"invalid device token"}']);
  assert.deepEqual(await get("ST:nope"), [401, json, '{"error":"invalid site token"}']);
  assert.deepEqual(await get(`RK:${"x".repeat(1000)}`), [401, null, ""]);
  assert.equal((await get(`raw bEARER ${control.regKey}`))[0], 200);
  const garbage = await control.call("GET", "/api/devices", "garbage");
  assert.equal(garbage.status, 401);
  assert.match(garbage.headers.get("www-authenticate") ?? "", /invalid_token/);
});

Deno.test("an expired or deleted registration key is refused, devices it made stay", async () => {
  await using control = await TestControl.start();
  const expiresAt = new Date(Date.now() - 1000).toISOString();
  const expired = await control.addRegKey({ expiresAt });
  const answer = await control.call("GET", "/api/reg-keys/me", expired);
  assert.deepEqual([answer.status, answer.body], [401, {
    error: "invalid reg key",
    reason: `the registration key expired at ${expiresAt}`,
  }]);
  const good = await control.addRegKey({ expiresAt: new Date(Date.now() + 60_000).toISOString() });
  assert.equal((await control.call("GET", "/api/reg-keys/me", good)).status, 200);
  const { token } = await control.register();
  await control.store.db.updateTable("reg_keys").set({ deleted_at: "now" }).execute();
  const gone = await control.call("GET", "/api/reg-keys/me", control.regKey);
  assert.deepEqual([gone.status, gone.body], [401, { error: "invalid reg key" }]);
  assert.equal((await control.call("GET", "/api/devices", token)).status, 200);
});

Deno.test("a registration key reads itself, and nobody else's token is anywhere", async () => {
  await using control = await TestControl.start();
  const me = await control.call("GET", "/api/reg-keys/me", control.regKey);
  assert.deepEqual(me.body, {
    id: me.body.id,
    owner_id: control.userId,
    vpc_id: control.userId,
    bearer_token: control.regKey,
    security_group_id: null,
    settings: null,
  });
  const { token } = await control.register();
  // Secrets at rest are hashed: no table holds a token.
  for (const table of ["reg_keys", "devices", "users", "meta"] as const) {
    const rows = JSON.stringify(await control.store.db.selectFrom(table).selectAll().execute());
    for (const secret of [control.regKey, token]) {
      assert.ok(!rows.includes(secret.slice(3)), `${table} holds a token`);
    }
  }
});

Deno.test("a device's token goes to itself and to the key that made it alone", async () => {
  // Weakness 28: any credential of an owner received the tokens of all its devices.
  await using control = await TestControl.start();
  const a = await control.register({ hostname: "a" });
  const b = await control.register({ hostname: "b" });
  const otherKey = await control.addRegKey();
  const seen = async (path: string, bearer: string) => {
    const { body } = await control.call("GET", path, bearer);
    const devices: Device[] = Array.isArray(body) ? body : [body];
    return devices.filter((device) => device.bearer_token).map((device) => device.hostname);
  };
  const paths = [
    "/api/devices",
    `/api/vpcs/${control.userId}/devices`,
    `/api/devices/${a.device.id}`,
    `/api/devices/${b.device.id}`,
  ] as const;
  const table: [string, string[][]][] = [
    [a.token, [["a"], ["a"], ["a"], []]],
    [b.token, [["b"], ["b"], [], ["b"]]],
    [otherKey, [[], [], [], []]],
    [control.user, [[], [], [], []]],
    // A key made for many hosts gets a device's token only by asking for that device.
    [control.regKey, [[], [], ["a"], ["b"]]],
  ];
  for (const [bearer, expected] of table) {
    for (const [i, path] of paths.entries()) {
      assert.deepEqual(await seen(path, bearer), expected[i], `${bearer.slice(0, 6)} ${path}`);
    }
  }
});

Deno.test("a key or a device changes only devices that are its own", async () => {
  await using control = await TestControl.start();
  const a = await control.register();
  const b = await control.register();
  const otherKey = await control.addRegKey();
  const path = `/api/devices/${a.device.id}`;
  for (const bearer of [otherKey, b.token]) {
    const answer = await control.call("PATCH", path, bearer, { hostname: "mine" });
    assert.deepEqual([answer.status, answer.body], [403, {
      error: "reg key does not have access",
    }]);
  }
  const put = await control.call("PUT", `${path}/metadata/relay`, otherKey, { type: "derp" });
  assert.equal(put.status, 403);
  const sol = await control.addUser("sol", "user-token-of-sol");
  const solKey = await control.addRegKey({ ownerId: sol });
  const answer = await control.call("PATCH", path, solKey, {});
  assert.deepEqual([answer.status, answer.body], [404, { error: "not found", resource: "device" }]);
  for (const empty of [path, `${path}/metadata`, `${path}/metadata/relay`]) {
    const read = await control.call("GET", empty, solKey);
    assert.deepEqual([read.status, read.text, read.headers.get("content-type")], [404, "", null]);
  }
  for (const vpc of ["", "/devices", "/metadata"]) {
    const read = await control.call("GET", `/api/vpcs/${control.userId}${vpc}`, solKey);
    assert.deepEqual([read.status, read.body], [404, { error: "not found", resource: "vpc" }]);
  }
});

Deno.test("metadata is put, read by prefix, deleted and revived", async () => {
  await using control = await TestControl.start();
  const { device, token } = await control.register();
  const path = `/api/devices/${device.id}/metadata`;
  const put = (key: string, value: unknown) =>
    control.call("PUT", `${path}/${key}`, control.regKey, value);
  const first = await put("relay", { type: "derp", hostname: "r.example", certmodemanual: true });
  assert.equal(first.status, 200);
  assert.deepEqual(first.body, {
    device_id: device.id,
    key: "relay",
    value: { type: "derp", hostname: "r.example", certmodemanual: true },
    revision: 1,
  });
  assert.equal((await put("relay", first.body.value)).body.revision, 1, "the same is no news");
  await put("tcp:1024", { a: 1 });
  await put("a%2Fb%25", {});
  const keys = async (query = "", at = path) => {
    const { body } = await control.call("GET", at + query, token);
    return body.map((row: { key: string }) => row.key);
  };
  assert.deepEqual(await keys(), ["a/b%", "relay", "tcp:1024"]);
  assert.deepEqual(await keys("?prefix=rel&prefix=tcp"), ["relay", "tcp:1024"]);
  // Weakness 33: wildcards in a prefix matched everything.
  assert.deepEqual(await keys("?prefix=%25"), []);
  assert.deepEqual(await keys("?prefix=r_l"), []);
  const vpcPath = `/api/vpcs/${control.userId}/metadata`;
  assert.deepEqual(await keys("?key=relay", vpcPath), ["relay"]);
  const one = await control.call("GET", `${path}/a%2Fb%25`, token);
  assert.deepEqual(one.body.value, {});
  const patched = await control.call("PATCH", `${path}/relay`, control.user, { a: 1 });
  assert.equal(patched.status, 404, "values are put, never patched");
  const drop = (key: string) => control.call("DELETE", `${path}${key}`, control.user);
  for (const key of ["/relay", "/relay", "/nope"]) {
    const dropped = await drop(key);
    assert.deepEqual([dropped.status, dropped.text], [204, ""]);
  }
  assert.equal((await control.call("GET", `${path}/relay`, token)).status, 404);
  assert.equal((await put("relay", { type: "derp" })).body.revision, 5);
  assert.equal((await drop("")).status, 204);
  assert.deepEqual(await keys(), []);
  const patch = await control.call("PATCH", `${path}/relay`, control.user, {});
  assert.deepEqual([patch.status, patch.text], [404, "404 page not found"]);
});

Deno.test("metadata that would break stock agents is refused", async () => {
  await using control = await TestControl.start();
  const { device } = await control.register();
  const put = (key: string, value: unknown) =>
    control.call("PUT", `/api/devices/${device.id}/metadata/${key}`, control.regKey, value);
  for (const value of [[1, 2], '"text"', "7", "null"]) {
    assert.equal((await put("k", value)).status, 400, JSON.stringify(value));
  }
  assert.equal((await put("relay", { type: "derp", hostname: 7 })).body.field, "value.hostname");
  const flag = await put("relay", { type: "derp", certmodemanual: "yes" });
  assert.equal(flag.body.field, "value.certmodemanual");
  const port = await put("relay", { type: "derp", port: "443" });
  assert.equal(port.body.field, "value.port");
  assert.equal((await put("relay", { type: "derp", ca: {} })).body.field, "value.ca");
  assert.equal((await put("k", { a: "x".repeat(20_000) })).body.field, "value");
  assert.equal((await put("k".repeat(200), {})).status, 400);
});

Deno.test("metadata of a deleted device is gone", async () => {
  // Weakness 46: it stayed listed and was sent to new watchers.
  await using control = await TestControl.start();
  const { device } = await control.register();
  const { token } = await control.register();
  const path = `/api/devices/${device.id}`;
  await control.call("PUT", `${path}/metadata/relay`, control.regKey, { type: "derp" });
  await control.call("DELETE", path, control.user);
  const vpcPath = `/api/vpcs/${control.userId}/metadata`;
  assert.deepEqual((await control.call("GET", vpcPath, token)).body, []);
});

Deno.test("paths, methods and bodies that are not the API's are answered plainly", async () => {
  await using control = await TestControl.start();
  const { regKey, user } = control;
  const notFound = [404, "text/plain", "404 page not found"];
  const call = async (method: string, path: string, bearer?: string) => {
    const answer = await control.call(method, path, bearer);
    return [answer.status, answer.headers.get("content-type"), answer.text];
  };
  assert.deepEqual(await call("GET", "/api/nothing", user), notFound);
  assert.deepEqual(await call("GET", "/nothing"), notFound);
  assert.deepEqual(await call("GET", "/api/%64evices", regKey), notFound);
  assert.deepEqual(await call("GET", "/%61pi/devices", regKey), notFound);
  assert.deepEqual(await call("DELETE", "/api/devices", user), notFound);
  assert.deepEqual(await call("HEAD", "/api/devices", user), [404, "text/plain", ""]);
  assert.equal((await call("GET", "/api/devices", regKey))[0], 200);
  const bad = await control.call("GET", "/api/devices/zzz", regKey);
  assert.deepEqual([bad.status, bad.body], [400, { error: "path parameter invalid", field: "id" }]);
  const upper = (await control.register()).device.id.toUpperCase();
  assert.equal((await control.call("GET", `/api/devices/${upper}`, regKey)).status, 200);
  const large = "x".repeat(MAX_BODY + 1);
  assert.equal((await control.call("POST", "/api/devices", regKey, large)).status, 413);
  const chunked = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
  });
  const endless = await control.app.request("https://api.control.test/api/devices", {
    method: "POST",
    headers: { authorization: `Bearer ${regKey}` },
    body: chunked,
  });
  assert.equal(endless.status, 413);
});

Deno.test("every answer carries the common headers and its own id", async () => {
  await using control = await TestControl.start();
  const ids = new Set<string>();
  for (const path of ["/private/live", "/private/ready", "/nothing", "/api/devices"]) {
    const { headers } = await control.call("GET", path);
    assert.equal(
      headers.get("cache-control"),
      "no-cache, no-store, max-age=0, must-revalidate",
    );
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    ids.add(headers.get("x-request-id")!);
  }
  assert.equal(ids.size, 4);
  const { body } = await control.call("GET", "/private/ready");
  assert.deepEqual(body, { status: "UP" });
});

Deno.test("a failure inside is a 500 that tells its id and nothing else", async () => {
  await using control = await TestControl.start();
  await control.store.db.schema.dropTable("device_metadata").execute();
  const answer = await control.call("GET", `/api/vpcs/${control.userId}/metadata`, control.user);
  assert.equal(answer.status, 500);
  const trace_id = answer.headers.get("x-request-id");
  assert.deepEqual(answer.body, { error: "internal server error", trace_id });
  const ready = await control.call("POST", "/api/devices", control.regKey, {
    vpc_id: control.userId,
    public_key: newKey(),
  });
  assert.equal(ready.status, 201, "the next request is served");
});

Deno.test("the OpenAPI document names every route with its schemas", async () => {
  await using control = await TestControl.start();
  const { body } = await control.call("GET", "/openapi/doc.json");
  assert.equal(body.openapi, "3.1.0");
  const paths = Object.keys(body.paths);
  const routed = control.app.routes.filter(({ method }) => method !== "ALL")
    .map(({ path }) => path.replaceAll(/:([\w-]+)/g, "{$1}")).filter((path) =>
      path.startsWith("/api/")
    );
  assert.deepEqual(
    paths.filter((path) => path.startsWith("/api/")).sort(),
    [
      ...new Set(routed),
    ].sort(),
  );
  assert.deepEqual(body.components.schemas.AddDevice.required, ["public_key", "vpc_id"]);
});

Deno.test("an owner ends a device's token, and the device gets another by registering again", async () => {
  // Weakness 47: device tokens could not be replaced.
  await using control = await TestControl.start();
  const { device, token } = await control.register();
  const stream = await control.watch(token, []);
  const path = `/api/devices/${device.id}/token`;
  for (const bearer of [control.regKey, token]) {
    assert.equal((await control.call("POST", path, bearer)).status, 403);
  }
  const answer = await control.call("POST", path, control.user);
  assert.deepEqual([answer.status, answer.body.bearer_token], [200, undefined]);
  assert.equal(await stream.receive().catch(() => false), false);
  const old = await control.call("GET", "/api/devices", token);
  assert.deepEqual([old.status, old.body], [401, { error: "invalid device token" }]);
  const again = await control.call("PATCH", `/api/devices/${device.id}`, control.regKey, {});
  const next = openToken(again.body.bearer_token, device.public_key);
  assert.notEqual(next, token);
  assert.equal((await control.call("GET", "/api/devices", next)).status, 200);
});
