import assert from "node:assert/strict";
import fc from "fast-check";
import type { RegKey } from "../../api/types.ts";
import { openToken } from "../../auth/mod.ts";
import { parseTime } from "../../reg_keys/mod.ts";
import { newKey } from "../../testing.ts";
import { notFound, People } from "./people.ts";

const KEYS = "/api/reg-keys";

Deno.test("a member's key is seen by an owner of the organization, its token by the member alone", async () => {
  // Weakness 31: owners could read the keys of all members.
  await using people = await People.start();
  const [sol, mel, eve] = await Promise.all(["sol", "mel", "eve"].map((n) => people.person(n)));
  await people.join(mel!, sol!);
  const key: RegKey = await mel!.expect(201, "POST", KEYS, { vpc_id: sol!.id, description: "k" });
  assert.match(key.bearer_token, /^RK:[A-Za-z0-9+/]{43}=$/);
  assert.deepEqual(key, {
    id: key.id,
    owner_id: mel!.id,
    vpc_id: sol!.id,
    bearer_token: key.bearer_token,
    description: "k",
    security_group_id: null,
    settings: null,
  });
  const path = `${KEYS}/${key.id}`;
  assert.deepEqual(await mel!.expect(200, "GET", path), key);
  assert.deepEqual(await mel!.expect(200, "GET", KEYS), [key]);
  const hidden = { ...key, bearer_token: "" };
  assert.deepEqual(await sol!.expect(200, "GET", path), hidden);
  assert.deepEqual(await sol!.expect(200, "GET", KEYS), [hidden]);
  assert.deepEqual(await eve!.expect(200, "GET", KEYS), []);
  for (const [person, method] of [[eve, "GET"], [eve, "DELETE"], [sol, "DELETE"]] as const) {
    await person!.refused(404, notFound("reg key"), method, path);
  }
  await sol!.refused(404, notFound("reg key"), "PATCH", path, { description: "mine" });
  const { control } = people;
  const rows = await control.store.db.selectFrom("reg_keys").selectAll().execute();
  assert.ok(!JSON.stringify(rows).includes(key.bearer_token.slice(3)), "only a hash is kept");
});

Deno.test("a device made with a key outlives it, and its token ends with the device", async () => {
  await using people = await People.start();
  const sol = await people.person("sol");
  const { control } = people;
  const key = await sol.expect(201, "POST", KEYS, { vpc_id: sol.id });
  const public_key = newKey();
  const made = await control.call("POST", "/api/devices", key.bearer_token, {
    vpc_id: sol.id,
    public_key,
  });
  assert.equal(made.status, 201);
  const token = openToken(made.body.bearer_token, public_key);
  assert.match(token, /^DT:/);
  const path = `/api/devices/${made.body.id}`;
  assert.equal((await control.call("GET", "/api/devices", token)).body.length, 1);
  assert.equal((await control.call("GET", path, token)).body.id, made.body.id);
  const watch = [{ kind: "device", options: { "vpc-id": sol.id } }];
  await (await control.watch(token, watch)).untilTails();
  const deleted = await sol.expect(200, "DELETE", `${KEYS}/${key.id}`);
  assert.deepEqual(deleted, key);
  const refused = async (bearer: string, error: string) => {
    const { status, body } = await control.call("GET", "/api/devices", bearer);
    assert.deepEqual([status, body], [401, { error }]);
  };
  await refused(key.bearer_token, "invalid reg key");
  assert.equal((await control.call("GET", "/api/devices", token)).status, 200);
  await sol.expect(200, "DELETE", path);
  await refused(token, "invalid device token");
  const bad = { error: "request json is invalid: invalid UUID length: 3" };
  await sol.refused(400, bad, "POST", KEYS, { vpc_id: "abc" });
  const path400 = { error: "path parameter invalid", field: "key-id" };
  await sol.refused(400, path400, "GET", `${KEYS}/abc`);
});

Deno.test("a key's group, settings and expiry are kept and changed, and what is absent stays", async () => {
  await using people = await People.start();
  const [sol, mel] = [await people.person("sol"), await people.person("mel")];
  const group = await sol.expect(201, "POST", "/api/security-groups", { vpc_id: sol.id });
  const expires_at = "2099-01-02T03:04:05Z";
  const settings = { a: { b: [1, null, "x"] } };
  const body = { vpc_id: sol.id, security_group_id: group.id, settings, expires_at };
  const key = await sol.expect(201, "POST", KEYS, { ...body, single_use: true, description: "d" });
  assert.deepEqual([key.security_group_id, key.settings, key.expires_at], [
    group.id,
    settings,
    expires_at,
  ]);
  assert.match(key.device_id, /^[0-9a-f-]{36}$/);
  const path = `${KEYS}/${key.id}`;
  assert.deepEqual(await sol.expect(200, "PATCH", path, {}), key);
  const changed = await sol.expect(200, "PATCH", path, {
    description: "e",
    settings: {},
    expires_at: "2099-01-02T05:04:05.5+02:00",
    security_group_id: sol.id,
  });
  assert.deepEqual(changed, {
    ...key,
    description: "e",
    settings: {},
    expires_at: "2099-01-02T03:04:05.500Z",
    security_group_id: sol.id,
  });
  const { expires_at: _, ...rest } = changed;
  const zero = { expires_at: "0001-01-01T00:00:00Z" };
  assert.deepEqual(await sol.expect(200, "PATCH", path, zero), rest, "Go's zero time clears");

  const foreign = await mel.expect(201, "POST", "/api/security-groups", { vpc_id: mel.id });
  const group404 = notFound("security_group_id");
  const withForeign = { vpc_id: sol.id, security_group_id: foreign.id };
  await sol.refused(404, group404, "POST", KEYS, withForeign);
  await sol.refused(404, group404, "PATCH", path, { security_group_id: foreign.id });
  await sol.refused(404, notFound("vpc"), "POST", KEYS, { vpc_id: mel.id });
  const none = { error: "field not present", field: "vpc_id, service_network_id" };
  await sol.refused(400, none, "POST", KEYS, { vpc_id: null });
  const long = await sol.call("PATCH", path, { settings: { a: "x".repeat(20_000) } });
  assert.deepEqual([long.status, long.body.field], [400, "settings"]);
  const network = await sol.call("POST", KEYS, { service_network_id: crypto.randomUUID() });
  assert.deepEqual([network.status, network.body.reason], [400, "sites support is disabled"]);
});

Deno.test("times are read as RFC 3339 and as Go prints them", () => {
  const read: [string, string | null | undefined][] = [
    ["2026-11-23T01:36:59Z", "2026-11-23T01:36:59Z"],
    ["2026-11-23t01:36:59.123456789z", "2026-11-23T01:36:59.123Z"],
    ["2026-11-23T01:36:59+02:00", "2026-11-22T23:36:59Z"],
    // Weakness 24.
    ["2026-11-23 02:18:00.158602142 +0000 UTC m=+3600.001386219", "2026-11-23T02:18:00.158Z"],
    ["2026-11-23 02:18:00 +0530 IST", "2026-11-22T20:48:00Z"],
    ["2026-11-23 02:18:00.5 -0700 -07 m=-1.000000001", "2026-11-23T09:18:00.500Z"],
    ["0001-01-01T00:00:00Z", null],
    ["", undefined],
    ["2026-11-23", undefined],
    ["2026-13-23T01:36:59Z", undefined],
    ["2026-11-23T25:36:59Z", undefined],
    ["tomorrow", undefined],
    ["2026-11-23 02:18:00 UTC", undefined],
  ];
  for (const [text, expected] of read) assert.equal(parseTime(text), expected, text);
  fc.assert(fc.property(fc.date({ noInvalidDate: true, min: new Date(0) }), (date) => {
    const text = date.toISOString();
    if (/^\d{4}-/.test(text)) assert.equal(Date.parse(parseTime(text)!), date.getTime());
  }));
  fc.assert(fc.property(fc.string(), (text) => {
    const parsed = parseTime(text);
    assert.ok(parsed === undefined || parsed === null || !Number.isNaN(Date.parse(parsed)));
  }));
});
