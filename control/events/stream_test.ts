import assert from "node:assert/strict";
import fc from "fast-check";
import type { Device, Watch, WatchEvent } from "../api/types.ts";
import { openToken } from "../auth/mod.ts";
import { createVpc } from "../tenants.ts";
import { newKey, TestControl, type TestStream } from "../testing.ts";
import { Feed, type Watcher } from "./feed.ts";
import { type Page, PAGE_SIZE } from "./source.ts";

const device = (vpc: string, more: Partial<Watch> = {}): Watch => ({
  kind: "device",
  options: { "vpc-id": vpc },
  ...more,
});

/** The event's device; fails for any other event. */
function deviceOf(event: WatchEvent): Device & { type: string } {
  assert.ok(event.kind === "device" && event.type !== "tail", JSON.stringify(event));
  return { ...event.value, type: event.type };
}

Deno.test("a stream sends what there is, a tail a watch, then what changes", async () => {
  await using control = await TestControl.start();
  const { device: own, token } = await control.register({ hostname: "a" });
  const options = { "vpc-id": control.userId, prefixes: null, key: "relay" };
  const stream = await control.watch(token, [
    device(control.userId),
    { kind: "security-group", options: { "vpc-id": control.userId } },
    { kind: "device-metadata", options },
    { kind: "vpc", options: { "vpc-id": control.userId } },
  ]);
  const backlog = await stream.untilTails(4);
  const kinds = (type: string) =>
    backlog.filter((event) => event.type === type).map((event) => event.kind).sort();
  assert.deepEqual(kinds("change"), ["device", "security-group", "vpc"]);
  assert.deepEqual(kinds("tail"), ["device", "device-metadata", "security-group", "vpc"]);
  const path = `/api/devices/${own.id}`;
  await control.call("PUT", `${path}/metadata/other`, control.regKey, { a: 1 });
  await control.call("PUT", `${path}/metadata/relay`, control.regKey, { type: "derp" });
  assert.deepEqual(await stream.next(), {
    kind: "device-metadata",
    type: "change",
    value: { device_id: own.id, key: "relay", value: { type: "derp" }, revision: 2 },
  });
  await control.call("DELETE", `${path}/metadata/relay`, control.user);
  assert.equal((await stream.next()).type, "delete");
  await control.call("PATCH", path, control.regKey, { hostname: "b" });
  assert.equal(deviceOf(await stream.next()).hostname, "b");
  for (const part of stream.raw.split("\n\n").slice(0, -1)) JSON.parse(part);
  assert.ok(stream.raw.endsWith("}\n\n"));
});

Deno.test("the older path takes the VPC from itself and calls prefixes by that name", async () => {
  await using control = await TestControl.start();
  const { device: own, token } = await control.register();
  for (const key of ["relay", "other"]) {
    await control.call("PUT", `/api/devices/${own.id}/metadata/${key}`, control.regKey, {});
  }
  const watches: Watch[] = [
    { kind: "device" },
    { kind: "device-metadata", options: { prefixes: ["rel"] } },
  ];
  const path = `/api/vpcs/${control.userId}/events`;
  const events = await (await control.watch(token, watches, path)).untilTails(2);
  assert.deepEqual(events.map((event) => [event.kind, event.type]).sort(), [
    ["device", "change"],
    ["device", "tail"],
    ["device-metadata", "change"],
    ["device-metadata", "tail"],
  ]);
  const other = await control.call("POST", `/api/vpcs/${crypto.randomUUID()}/events`, token, []);
  assert.deepEqual([other.status, other.body], [404, { error: "not found", resource: "vpc" }]);
});

Deno.test("watchers of one VPC get each row with nobody's token but their own", async () => {
  // Weakness 29: rows were remembered with the tokens that the first watcher might have.
  await using control = await TestControl.start();
  const a = await control.register({ hostname: "a" });
  const b = await control.register({ hostname: "b" });
  const first = await control.watch(a.token, [device(control.userId)]);
  await first.untilTails();
  const second = await control.watch(b.token, [device(control.userId)]);
  await second.untilTails();
  assert.equal(deviceOf(await first.next()).id, b.device.id, "b came online");
  const streams = [[a, first], [b, second]] as const;
  for (const { device: { id } } of [a, b]) {
    await control.call("PATCH", `/api/devices/${id}`, control.regKey, { symmetric_nat: true });
    for (const [own, stream] of streams) {
      const row = deviceOf(await stream.next());
      assert.equal(row.id, id);
      if (id !== own.device.id) assert.equal(row.bearer_token, undefined);
      else assert.equal(openToken(row.bearer_token!, row.public_key), own.token);
    }
  }
});

Deno.test("a change is read once for all streams that wait for it", async () => {
  await using control = await TestControl.start();
  const feed = new Feed(control.store);
  /** Follows devices, and says what page came. */
  const follower = (filter?: { key: string }) => {
    const came: PromiseWithResolvers<Page>[] = [];
    const watcher: Watcher = {
      changed: () => {},
      came: (page) => came.shift()!.resolve(page),
      failed: (error) => came.shift()!.reject(error),
    };
    const topic = { kind: "device", vpcId: control.userId, ...(filter ? { filter } : {}) } as const;
    const followed = feed.subscribe(topic, watcher);
    return {
      followed,
      ask(after: number): Promise<Page> {
        const page = feed.tail(followed, after, watcher);
        if (page) return Promise.resolve(page);
        came.push(Promise.withResolvers<Page>());
        return came.at(-1)!.promise;
      },
      stop: () => feed.unsubscribe(followed, watcher),
    };
  };
  const [one, two, other] = [follower(), follower(), follower({ key: "x" })];
  assert.equal(one.followed, two.followed, "one topic");
  const [first, second, third] = await Promise.all([one.ask(0), two.ask(0), other.ask(0)]);
  assert.equal(first, second);
  assert.notEqual(first, third, "another filter");
  assert.equal(await one.ask(0), first, "read already");
  assert.notEqual(await one.ask(1), first);
  await control.register();
  assert.equal((await one.ask(0)).entries.length, 1, "nothing old after a change");
  for (const { stop } of [one, two, other]) stop();
  feed.close();
});

Deno.test("metadata watches stay inside their VPC, whatever else they ask for", async () => {
  // Weakness 30: with `key` the rows of every tenant came, and stock agents always send `key`.
  await using control = await TestControl.start();
  const { device: own } = await control.register();
  await control.call("PUT", `/api/devices/${own.id}/metadata/relay`, control.regKey, { type: "x" });
  const sol = await control.addUser("sol", "user-token-of-sol");
  const key = await control.addRegKey({ ownerId: sol });
  const { device: theirs, token } = await control.register({ vpc_id: sol }, key);
  await control.call("PUT", `/api/devices/${theirs.id}/metadata/relay`, key, { type: "derp" });
  for (const options of [{ key: "relay" }, { prefix: ["rel"] }, { "device-id": theirs.id }]) {
    const stream = await control.watch(token, [
      { kind: "device-metadata", options: { "vpc-id": sol, ...options } },
    ]);
    const events = await stream.untilTails();
    assert.equal(events.length, 2);
    assert.ok(events[0]!.kind === "device-metadata" && events[0]!.type === "change");
    assert.equal(events[0]!.value.device_id, theirs.id);
  }
  for (const options of [{ "vpc-id": control.userId }, { "device-id": own.id }]) {
    const watches = [{ kind: "device-metadata", options }];
    assert.equal((await control.call("POST", "/api/events", token, watches)).status, 404);
  }
});

Deno.test("a new watch hears of no delete before its tail, a resumed one of all", async () => {
  await using control = await TestControl.start();
  const { token } = await control.register();
  const remove = async (id: string) => {
    assert.equal((await control.call("DELETE", `/api/devices/${id}`, control.user)).status, 200);
  };
  const gone = await control.register();
  await remove(gone.device.id);
  const fresh = await control.watch(token, [device(control.userId)]);
  assert.deepEqual((await fresh.untilTails()).map((event) => event.type), ["change", "tail"]);
  const later = await control.register();
  assert.equal((await fresh.next()).type, "change");
  await remove(later.device.id);
  const event = deviceOf(await fresh.next());
  assert.deepEqual([event.type, event.id, event.public_key], ["delete", later.device.id, ""]);
  const resume = device(control.userId, { at_tail: true, gt_revision: gone.device.revision - 1 });
  const resumed = await control.watch(token, [resume]);
  const ids = [deviceOf(await resumed.next()), deviceOf(await resumed.next())];
  const deletes = ids.filter((row) => row.type === "delete").map((row) => row.id);
  assert.ok(deletes.includes(gone.device.id));
  const notAtTail = device(control.userId, { gt_revision: gone.device.revision - 1 });
  const suppressed = await (await control.watch(token, [notAtTail])).untilTails();
  assert.ok(suppressed.every((event) => event.type !== "delete"));
});

Deno.test("a row that is sent and then deleted while the backlog goes on is reported", async () => {
  await using control = await TestControl.start();
  const made = [];
  for (let i = 0; i < PAGE_SIZE + 20; i++) made.push(await control.register());
  const stream = await control.watch(control.user, [device(control.userId)]);
  const events = [await stream.next()];
  // The first page is on its way; the second has not been read.
  await control.call("DELETE", `/api/devices/${made[0]!.device.id}`, control.user);
  await control.call("DELETE", `/api/devices/${made.at(-1)!.device.id}`, control.user);
  events.push(...await stream.untilTails());
  const rows = events.slice(0, -1).map(deviceOf);
  assert.equal(rows.filter((row) => row.type === "change").length, made.length - 1);
  const deletes = rows.filter((row) => row.type === "delete").map((row) => row.id);
  assert.deepEqual(deletes, [made[0]!.device.id]);
  const revisions = rows.map((row) => row.revision);
  assert.deepEqual(revisions, revisions.toSorted((a, b) => a - b));
});

Deno.test("a client that resumes after any break ends up with what the server has", async () => {
  type Step = "create" | "patch" | "delete" | "read" | "break";
  const steps = fc.array(
    fc.constantFrom<Step>("create", "patch", "delete", "read", "break"),
    { maxLength: 25 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      await using control = await TestControl.start();
      const cache = new Map<string, number>();
      let last = 0;
      let caughtUp = false;
      let stream: TestStream | undefined;
      const apply = (event: WatchEvent) => {
        if (event.type === "tail") return void (caughtUp = true);
        const row = deviceOf(event);
        assert.ok(row.revision > last, "no row twice, none out of order");
        last = row.revision;
        if (row.type === "delete") assert.ok(cache.delete(row.id) || caughtUp);
        else cache.set(row.id, row.revision);
      };
      const connect = async () => {
        const watch = caughtUp
          ? device(control.userId, { at_tail: true, gt_revision: last })
          : device(control.userId);
        if (!caughtUp) last = 0;
        return await control.watch(control.user, [watch]);
      };
      const list = async (): Promise<Device[]> =>
        (await control.call("GET", "/api/devices", control.user)).body;
      for (const step of steps) {
        const [some] = await list();
        const path = `/api/devices/${some?.id}`;
        if (step === "create") await control.register();
        else if (step === "break") {
          await stream?.close();
          stream = undefined;
        } else if (step === "read") {
          const first = stream === undefined;
          stream ??= await connect();
          if (first && !caughtUp) (await stream.untilTails()).forEach(apply);
        } else if (some && step === "patch") {
          const patch = { symmetric_nat: !some.symmetric_nat };
          await control.call("PATCH", path, control.user, patch);
        } else if (some) await control.call("DELETE", path, control.user);
      }
      await stream?.close();
      const final = await connect();
      if (!caughtUp) (await final.untilTails()).forEach(apply);
      // A row that nothing follows marks the end.
      const { device: end } = await control.register();
      while (!cache.has(end.id)) apply(await final.next());
      const expected = (await list()).map((row) => [row.id, row.revision]);
      assert.deepEqual([...cache].sort(), expected.sort());
    }),
    { numRuns: 25 },
  );
});

Deno.test("a device that moves is deleted for the VPC it left and changed for the other", async () => {
  // Weakness 39: the way back to the default VPC was skipped.
  await using control = await TestControl.start();
  const other = await control.store.write((write) =>
    createVpc(write, {
      organizationId: control.userId,
      description: "own ranges",
      privateCidr: { ipv4: "10.7.0.9/16", ipv6: "fd00:7::/64" },
    })
  );
  const { device: mover } = await control.register({ advertise_cidrs: ["172.20.0.0/16"] });
  const path = `/api/devices/${mover.id}`;
  await control.call("PUT", `${path}/metadata/relay`, control.regKey, { type: "derp" });
  const from = await control.watch(control.user, [device(control.userId)]);
  const to = await control.watch(control.user, [
    device(other.id),
    { kind: "device-metadata", options: { "vpc-id": other.id } },
  ]);
  await from.untilTails();
  await to.untilTails(2);
  const move = (vpc_id: string, bearer = control.user) =>
    control.call("PATCH", path, bearer, { vpc_id });
  assert.equal((await move(other.id, control.regKey)).status, 400, "a key stays in its VPC");
  assert.equal((await move(crypto.randomUUID())).body.resource, "vpc_id");
  const moved = await move(other.id);
  assert.deepEqual(moved.body.allowed_ips, ["10.7.0.1/32", "fd00:7::1/128"]);
  assert.deepEqual(moved.body.ipv4_tunnel_ips, [{ address: "10.7.0.1", cidr: "10.7.0.9/16" }]);
  assert.equal(moved.body.security_group_id, other.id);
  const left = deviceOf(await from.next());
  assert.deepEqual([left.type, left.id, left.vpc_id, left.public_key], [
    "delete",
    mover.id,
    control.userId,
    "",
  ]);
  const news = [await to.next(), await to.next()].map((event) => [event.kind, event.type]);
  assert.deepEqual(news.sort(), [["device", "change"], ["device-metadata", "change"]]);
  assert.deepEqual((await control.register()).device.allowed_ips, mover.allowed_ips, "freed");
  const back = await move(control.userId);
  assert.deepEqual(back.body.allowed_ips, ["100.64.0.2/32", "200::2/128"]);
  assert.equal(deviceOf(await to.next()).type, "delete");
  const fresh = await (await control.watch(control.user, [device(other.id)])).untilTails();
  assert.equal(fresh.length, 1, "only the tail");
});

Deno.test("a silent stream is kept alive with newlines and nothing else", async () => {
  await using control = await TestControl.start({ stream: { heartbeatMs: 20 } });
  const empty = await control.watch(control.user, []);
  while (empty.raw.length < 3) await empty.receive();
  assert.equal(empty.raw, "\n\n\n");
});

Deno.test("a reader that takes nothing is cut off, and costs nothing until then", async () => {
  await using control = await TestControl.start({ stream: { stallMs: 50 } });
  const stream = await control.watch(control.user, [device(control.userId)]);
  assert.equal(control.deps.streams.size, 1);
  const started = Date.now();
  while (control.deps.streams.size > 0 && Date.now() - started < 3000) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(control.deps.streams.size, 0);
  await assert.rejects(stream.receive(), /was ended/);
});

Deno.test("a deleted device's own stream tells it so and breaks off", async () => {
  await using control = await TestControl.start();
  const { device: own, token } = await control.register();
  const stream = await control.watch(token, [device(control.userId)]);
  await stream.untilTails();
  await control.call("DELETE", `/api/devices/${own.id}`, control.user);
  assert.deepEqual([deviceOf(await stream.next()).type], ["delete"]);
  await assert.rejects(stream.receive(), /was ended/);
  assert.equal((await control.call("POST", "/api/events", token, [])).status, 401);
});

Deno.test("one stream too many of a caller ends its oldest, too many in all are refused", async () => {
  await using control = await TestControl.start({ limits: { perCaller: 2, total: 3 } });
  const { token } = await control.register();
  const streams = [];
  for (let i = 0; i < 3; i++) streams.push(await control.watch(token, []));
  await assert.rejects(streams[0]!.receive(), /was ended/);
  assert.equal(control.deps.streams.size, 2);
  await control.watch(control.user, []);
  const refused = await control.call("POST", "/api/events", control.user, []);
  assert.equal(refused.status, 503);
});

Deno.test("rows that cannot be read end the stream with an error event, after a while", async () => {
  await using control = await TestControl.start({ stream: { failureMs: 20 } });
  await control.store.db.schema.dropTable("device_departures").execute();
  const stream = await control.watch(control.user, [device(control.userId)]);
  const event = await stream.next();
  assert.deepEqual(event, { type: "error", value: { error: "internal server error" } });
  await assert.rejects(stream.receive(), /was ended/);
});

Deno.test("a device is online while it has a stream and for a grace after", async () => {
  await using control = await TestControl.start({ online: { graceMs: 60 } });
  const { device: own, token } = await control.register();
  const watcher = await control.watch(control.user, [device(control.userId)]);
  await watcher.untilTails();
  const first = await control.watch(token, [device(control.userId)]);
  // Weakness 37: presence woke nobody.
  const online = deviceOf(await watcher.next());
  assert.deepEqual([online.id, online.online], [own.id, true]);
  assert.match(online.online_at!, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.equal(deviceOf((await first.untilTails())[0]!).online, true, "it sees itself online");
  const second = await control.watch(token, []);
  await first.close();
  await second.close();
  // Back within the grace: no change at all.
  const third = await control.watch(token, []);
  await new Promise((resolve) => setTimeout(resolve, 120));
  const row = await control.call("GET", `/api/devices/${own.id}`, control.user);
  assert.equal(row.body.revision, online.revision);
  const closedAt = Date.now();
  await third.close();
  const offline = deviceOf(await watcher.next());
  assert.equal(offline.online, false);
  assert.ok(Date.parse(offline.online_at!) - closedAt >= 50);
});

Deno.test("devices left online by an earlier process go offline unless they come back", async () => {
  await using control = await TestControl.start({ online: { startGraceMs: 60 } });
  const back = await control.register();
  const lost = await control.register({ public_key: newKey() });
  await control.store.db.updateTable("devices").set({ online: 1 }).execute();
  const watcher = await control.watch(control.user, [device(control.userId)]);
  await watcher.untilTails();
  await control.deps.online.start();
  await control.watch(back.token, []);
  const event = deviceOf(await watcher.next());
  assert.deepEqual([event.id, event.online], [lost.device.id, false]);
  const kept = await control.call("GET", `/api/devices/${back.device.id}`, control.user);
  assert.equal(kept.body.online, true);
});
