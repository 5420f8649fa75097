/** The audit log: what is in it, who reads it, and how it is kept small. */
import assert from "node:assert/strict";
import type { AuditEntry } from "../../api/types.ts";
import { difference, SignInLog, trimAuditLog } from "../../audit/mod.ts";
import { newKey, TestControl } from "../../testing.ts";
import { CLIENT, signIn } from "./calls.ts";
import { type Caller, CALLERS, World } from "../access/world.ts";

/** The log as a caller reads it. */
async function log(control: TestControl, bearer: string, query = ""): Promise<AuditEntry[]> {
  const answer = await control.call("GET", `/api/audit${query}`, bearer);
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
}

const asked = (options: Record<string, unknown>) =>
  `?${
    Object.entries(options).map(([name, value]) =>
      `${name}=${encodeURIComponent(typeof value === "string" ? value : JSON.stringify(value))}`
    ).join("&")
  }`;

Deno.test("an entry tells who did what to what, from where, and what changed, without secrets", async () => {
  await using control = await TestControl.start();
  const body = { organization_id: control.userId, description: "lab" };
  const made = await control.app.request("https://api.control.test/api/vpcs", {
    method: "POST",
    headers: { authorization: `Bearer ${control.user}` },
    body: JSON.stringify(body),
  }, { remoteAddr: { transport: "tcp", hostname: "192.0.2.7", port: 1 } });
  const vpc = await made.json();
  await control.call("PATCH", `/api/vpcs/${vpc.id}`, control.user, {
    description: "x".repeat(255),
  });
  await control.call("PATCH", `/api/vpcs/${vpc.id}`, control.user, {
    description: "x".repeat(255),
  });
  const [update, create, ...rest] = await log(control, control.user);
  assert.equal(rest.length, 0, "a change that changes nothing leaves no row");
  assert.deepEqual({ ...create, id: 0, at: "" }, {
    id: 0,
    at: "",
    request_id: made.headers.get("x-request-id"),
    actor: { kind: "user", id: control.userId, name: "ada" },
    organization_id: control.userId,
    action: "vpc.create",
    resource: { kind: "vpc", id: vpc.id, name: "lab" },
    address: "192.0.2.7",
    outcome: "done",
    changes: {
      description: { new: "lab" },
      ipv4_cidr: { new: vpc.ipv4_cidr },
      ipv6_cidr: { new: vpc.ipv6_cidr },
    },
  });
  assert.deepEqual(update!.changes.description!.old, "lab");
  assert.ok(Math.abs(Date.parse(create!.at) - Date.now()) < 60_000);
  const key = await control.call("POST", "/api/reg-keys", control.user, {
    vpc_id: vpc.id,
    settings: { secret: "settings-of-it" },
  });
  const { device, token } = await control.register({ vpc_id: vpc.id }, key.body.bearer_token);
  await control.call("POST", `/api/devices/${device.id}/token`, control.user);
  await signIn(control);
  await signIn(control, "a wrong password");
  const rows = JSON.stringify(await control.store.db.selectFrom("audit_log").selectAll().execute());
  const secrets = [
    token.slice(3),
    key.body.bearer_token.slice(3),
    "settings-of-it",
    "correct horse",
  ];
  for (const secret of [...secrets, "a wrong password", device.public_key]) {
    assert.ok(!rows.includes(secret), `the log holds ${secret}`);
  }
});

Deno.test("values are cut, and only what differs is told", () => {
  const [old, now] = [{ a: "x".repeat(1000), b: 1, c: [1], d: "same" }, {
    a: "\0\ud800",
    b: 1,
    c: [1, 2],
    d: "same",
  }];
  const changes = difference(old, now, ["a", "b", "c", "d"]);
  assert.equal((changes.a!.old as string).length, 256);
  assert.deepEqual(changes.a!.new, "\ufffd\ufffd");
  assert.deepEqual(changes.c, { old: "[1]", new: "[1,2]" });
  assert.deepEqual(Object.keys(changes), ["a", "c"]);
});

Deno.test("what agents measure and tell leaves no row, what they change does", async () => {
  await using control = await TestControl.start();
  const { device, token } = await control.register({ hostname: "one" });
  const path = `/api/devices/${device.id}`;
  const endpoints = [{ source: "local", address: "192.0.2.9:41641" }];
  await control.call("PATCH", path, token, { endpoints, symmetric_nat: true });
  await control.call("PUT", `${path}/metadata/relay`, control.regKey, { type: "derp" });
  const actions = async () => (await log(control, control.user)).map(({ action }) => action);
  assert.deepEqual(await actions(), ["device.create"]);
  await control.call("PATCH", path, token, { hostname: "two" });
  await control.call("PUT", `${path}/metadata/note`, control.user, { a: 1 });
  await control.call("DELETE", path, token);
  assert.deepEqual(await actions(), [
    "device.delete",
    "device-metadata.update",
    "device.update",
    "device.create",
  ]);
  const [gone, , update, create] = await log(control, control.user);
  assert.deepEqual(gone!.actor, { kind: "device", id: device.id, name: "two" });
  assert.deepEqual(update!.changes, { hostname: { old: "one", new: "two" } });
  assert.equal(create!.actor.kind, "reg-key");
});

Deno.test("a change whose row cannot be written is not made", async () => {
  await using control = await TestControl.start();
  await control.store.db.schema.dropTable("audit_log").execute();
  const body = { organization_id: control.userId, description: "unseen" };
  assert.equal((await control.call("POST", "/api/vpcs", control.user, body)).status, 500);
  const key = { vpc_id: control.userId, public_key: newKey() };
  assert.equal((await control.call("POST", "/api/devices", control.regKey, key)).status, 500);
  assert.ok((await signIn(control)).status >= 500);
  const vpcs = await control.call("GET", "/api/vpcs", control.user);
  assert.deepEqual(vpcs.body.map((vpc: { id: string }) => vpc.id), [control.userId]);
  assert.deepEqual((await control.call("GET", "/api/devices", control.user)).body, []);
});

Deno.test("owners read their organizations' log, the operator all, and others nothing", async () => {
  await using world = await World.start();
  const { control, targets } = world;
  await signIn(control, "a wrong password");
  const seen = async (bearer: string) =>
    new Set((await log(control, bearer)).map((entry) => entry.organization_id));
  assert.deepEqual(await seen("user-owner"), new Set([targets.organization]));
  assert.deepEqual(await seen("user-co-owner"), new Set([targets.organization]));
  assert.deepEqual(await seen("user-member"), new Set());
  const all = await seen("user-operator");
  assert.ok(all.has("") && all.has(targets.organization));
  for (const caller of CALLERS) {
    const watched = await control.fetch("POST", "/api/events", world.bearers[caller], [
      { kind: "audit-log", options: { "organization-id": targets.organization } },
    ]);
    await watched.body?.cancel();
    const expected = { owner: 200, "co-owner": 200, operator: 200, nobody: 401 };
    const { status } = watched;
    const known = (expected as Partial<Record<Caller, number>>)[caller];
    assert.equal(status, known ?? (caller.endsWith("key") ? 403 : 404), caller);
  }
});

Deno.test("the log is filtered, searched and cut, and read on while entries come", async () => {
  await using control = await TestControl.start();
  const ids: string[] = [];
  for (let i = 0; i < 6; i++) {
    const body = { organization_id: control.userId, description: `50%_${i}` };
    ids.push((await control.call("POST", "/api/vpcs", control.user, body)).body.id);
  }
  await control.call("DELETE", `/api/vpcs/${ids[0]}`, control.user);
  const names = async (options: Record<string, unknown>) =>
    (await log(control, control.user, asked(options))).map(({ resource }) => resource.name);
  assert.deepEqual(await names({ filter: { action: "vpc.delete" } }), ["50%_0"]);
  assert.deepEqual(await names({ filter: { resource: ids[0] } }), ["50%_0", "50%_0"]);
  assert.equal((await names({ filter: { actor: "ada", resource: "vpc" } })).length, 7);
  assert.deepEqual(await names({ filter: { actor: "bob" } }), []);
  assert.deepEqual(await names({ search: "%_5" }), ["50%_5"]);
  assert.deepEqual(await names({ search: "DELETE" }), ["50%_0"]);
  assert.deepEqual(await names({ search: "5%" }), []);
  assert.deepEqual(await names({ sort: ["id", "ASC"], range: [0, 1] }), ["50%_0", "50%_1"]);
  assert.deepEqual(await names({ since: new Date(Date.now() + 60_000).toISOString() }), []);
  assert.equal((await names({ until: new Date(Date.now() + 60_000).toISOString() })).length, 7);
  // Pages by number: what comes meanwhile neither repeats an entry nor hides one.
  const [newest, second] = await log(control, control.user, asked({ range: [0, 1] }));
  await control.call("DELETE", `/api/vpcs/${ids[1]}`, control.user);
  assert.deepEqual(
    await names({ before: String(second!.id), range: [0, 1] }),
    ["50%_4", "50%_3"],
  );
  assert.deepEqual(await names({ after: String(newest!.id) }), ["50%_1"]);
  for (const [name, value] of [["since", "soon"], ["before", "-1"], ["search", "x".repeat(101)]]) {
    const bad = await control.call("GET", `/api/audit${asked({ [name!]: value })}`, control.user);
    assert.deepEqual([bad.status, bad.body.field], [400, name]);
  }
});

Deno.test("who watches the log hears of each entry once, from the number that it has", async () => {
  await using control = await TestControl.start();
  const make = (description: string) =>
    control.call("POST", "/api/vpcs", control.user, {
      organization_id: control.userId,
      description,
    });
  await make("first");
  const [first] = await log(control, control.user);
  const options = { "organization-id": control.userId };
  const stream = await control.watch(control.user, [
    { kind: "audit-log", gt_revision: first!.id, at_tail: true, options },
  ]);
  await make("second");
  const event = await stream.next();
  assert.equal(event.kind, "audit-log");
  assert.equal(event.type, "change");
  assert.equal((event as { value: AuditEntry }).value.resource.name, "second");
});

Deno.test("sign-ins are recorded with the way in, refused ones with the name that was typed", async () => {
  await using control = await TestControl.start();
  const first = await signIn(control);
  assert.equal(first.status, 200);
  // The user of the API is made by the first call; from then on the log is the user's own.
  const bearer = first.body.access_token;
  assert.equal((await control.call("GET", "/api/users/me", bearer)).status, 200);
  assert.equal((await signIn(control, "a wrong password")).status, 400);
  assert.equal(
    (await control.form("/oauth/token", {
      ...CLIENT,
      grant_type: "password",
      username: "nobody",
      password: "x",
    })).status,
    400,
  );
  const mine = await log(control, bearer);
  assert.deepEqual(mine.map(({ action, outcome }) => [action, outcome]), [
    ["session.start", "refused"],
    ["user.create", "done"],
  ]);
  assert.equal(mine[0]!.address, "192.0.2.1");
  assert.notEqual(mine[0]!.request_id, "");
  await control.addOperator("operator", "user-operator");
  const all = await log(control, "user-operator", asked({ filter: { organization_id: "" } }));
  assert.deepEqual(all.map(({ actor, outcome }) => [actor.name, outcome]), [
    ["nobody", "refused"],
    ["zoe", "done"],
  ]);
});

Deno.test("a flood of refused sign-ins is written at a bounded rate, which tells what it left out", async () => {
  await using control = await TestControl.start();
  let now = 0;
  const signIns = new SignInLog(control.store, () => now);
  const from = { requestId: "", address: "192.0.2.1" };
  const flood = (count: number) =>
    Promise.all(
      Array.from({ length: count }, () =>
        signIns.refused({ username: "x", method: "password", from })),
    );
  await flood(1_200);
  now += 10_000;
  await flood(2);
  const rows = await control.store.db.selectFrom("audit_log").selectAll().orderBy("id").execute();
  assert.equal(rows.length, 1_001);
  assert.deepEqual(JSON.parse(rows.at(-1)!.changes_json).left_out, { new: 200 });
});

Deno.test("the log is bounded by age and by number, and strangers push nothing out", async () => {
  await using control = await TestControl.start();
  const { store } = control;
  const row = {
    request_id: "",
    actor_kind: "user" as const,
    actor_id: "",
    actor_name: "",
    action: "vpc.create",
    resource_kind: "vpc",
    resource_id: "",
    resource_name: "",
    address: "",
    changes_json: "{}",
  };
  const rows = Array.from({ length: 60 }, (_, i) => ({
    ...row,
    id: i + 1,
    at: new Date(Date.UTC(2026, 0, i < 5 ? 1 : 20)).toISOString(),
    organization_id: i % 2 === 0 ? "a" : "b",
    outcome: i >= 20 ? "refused" as const : "done" as const,
  }));
  await store.db.insertInto("audit_log").values(rows).execute();
  const left = async () =>
    (await store.db.selectFrom("audit_log").select("id").orderBy("id").execute())
      .map(({ id }) => id);
  const now = Date.UTC(2026, 0, 21);
  assert.equal(await trimAuditLog(store, { days: 0, rows: 100, refused: 100 }, now), 0);
  assert.equal(await trimAuditLog(store, { days: 10, rows: 100, refused: 100 }, now), 5);
  assert.equal((await left())[0], 6);
  await trimAuditLog(store, { days: 10, rows: 3, refused: 2 }, now);
  assert.deepEqual(await left(), [15, 16, 17, 18, 19, 20, 57, 58, 59, 60]);
});
