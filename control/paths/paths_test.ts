import assert from "node:assert/strict";
import type { PathReport } from "../api/types.ts";
import { TestControl } from "../testing.ts";

const NOBODY = "00000000-0000-4000-8000-000000000001";

function report(change: Partial<PathReport> = {}): PathReport {
  return { peers: [], more: 0, relays: [], ...change };
}

/** Two devices with streams, and a third without. */
async function world(control: TestControl) {
  const [a, b, idle] = [
    await control.register(),
    await control.register(),
    await control.register(),
  ];
  const streams = [await control.watch(a.token, []), await control.watch(b.token, [])];
  const put = async (who: typeof a, body: unknown) =>
    (await control.call("PUT", `/api/devices/${who.device.id}/paths`, who.token, body)).status;
  const vpc = `/api/vpcs/${control.userId}`;
  const read = async (query = "") =>
    (await control.call("GET", `${vpc}/paths${query}`, control.user)).body;
  return { a, b, idle, streams, put, read, vpc };
}

Deno.test("paths are kept while a device is online, and only to devices of its VPC", async () => {
  await using control = await TestControl.start({ online: { graceMs: 1 } });
  const { a, b, idle, streams, put, read } = await world(control);
  const sol = await control.addUser("sol", "user-token-of-sol");
  const other = await control.register(
    { vpc_id: sol },
    await control.addRegKey({ ownerId: sol, vpcId: sol }),
  );
  const peer = { path: "direct", healthy: true, reason: "same network", latency_ms: 1.5 } as const;
  const ids = [b.device.id, a.device.id, other.device.id, NOBODY];
  const peers = ids.map((device_id) => ({ device_id, ...peer }));
  assert.equal(await put(a, report({ peers: [...peers, ...peers], more: 7 })), 204);
  const [told] = await read();
  assert.deepEqual(told, {
    device_id: a.device.id,
    told_at: told.told_at,
    peers: [{ device_id: b.device.id, ...peer }],
    more: 7,
  });

  // The newest word counts, and who is offline has none.
  assert.equal(
    await put(a, report({ peers: [{ ...peers[0]!, path: "relayed", relay: "r" }] })),
    204,
  );
  assert.equal((await read())[0].peers[0].relay, "r");
  assert.equal(await put(idle, report()), 204);
  assert.equal(await put(b, report()), 204);
  assert.equal((await read()).length, 2);
  const filter = encodeURIComponent(JSON.stringify({ device_id: [b.device.id] }));
  assert.deepEqual(
    (await read(`?filter=${filter}`)).map((one: { device_id: string }) => one.device_id),
    [
      b.device.id,
    ],
  );

  await control.call("DELETE", `/api/devices/${b.device.id}`, control.user);
  const left = await read();
  assert.deepEqual([left.length, left[0].peers], [1, []]);
  const rows = () => control.store.db.selectFrom("device_paths").select("device_id").execute();
  await streams[0]!.close();
  for (const start = Date.now(); (await rows()).some((row) => row.device_id === a.device.id);) {
    assert.ok(Date.now() - start < 5_000, "it is kept of a device that is gone");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.deepEqual(await read(), []);
});

Deno.test("paths of others, too many, or unusable ones are refused", async () => {
  await using control = await TestControl.start();
  const { a, b, put, read, vpc } = await world(control);
  for (const bearer of [control.user, control.regKey, b.token]) {
    const path = `/api/devices/${a.device.id}/paths`;
    assert.equal((await control.call("PUT", path, bearer, report())).status, 403);
  }
  const peer = { device_id: b.device.id, path: "direct" as const, healthy: true, reason: "" };
  const relay = { hostname: "r.example", port: 443, home: true };
  for (
    const bad of [
      report({ peers: Array(129).fill(peer) }),
      report({ peers: [{ ...peer, reason: "x".repeat(201) }] }),
      report({ peers: [{ ...peer, reason: "\u001b[2J" }] }),
      report({ peers: [{ ...peer, latency_ms: -1 }] }),
      report({ peers: [{ ...peer, path: "teleported" as "direct" }] }),
      report({ relays: Array(17).fill(relay) }),
      report({ relays: [{ ...relay, port: 0 }] }),
      report({ more: -1 }),
      {},
    ]
  ) assert.equal(await put(a, bad), 400, JSON.stringify(bad).slice(0, 100));
  assert.deepEqual(await read(), []);
  for (const bearer of [a.token, control.regKey]) {
    for (const path of ["paths", "relays"]) {
      assert.equal((await control.call("GET", `${vpc}/${path}`, bearer)).status, 403);
    }
  }
});

Deno.test("paths tell how a VPC's devices see the relays", async () => {
  await using control = await TestControl.start();
  const { a, b, put, vpc } = await world(control);
  const relay = { hostname: "r.example", port: 443, home: true };
  await put(a, report({ relays: [{ ...relay, latency_ms: 10 }] }));
  await put(
    b,
    report({
      relays: [{ ...relay, home: false, latency_ms: 30 }, {
        ...relay,
        port: 444,
        home: false,
        error: "no answer",
      }],
    }),
  );
  const { body } = await control.call("GET", `${vpc}/relays`, control.user);
  assert.deepEqual(body, [
    {
      hostname: "r.example",
      port: 443,
      devices: 2,
      home: 1,
      failing: 0,
      latency_ms: 10,
      worst_ms: 30,
    },
    { hostname: "r.example", port: 444, devices: 1, home: 0, failing: 1 },
  ]);
});

Deno.test("who looks at a VPC's paths is told within a second that they are other ones, and nobody else", async () => {
  await using control = await TestControl.start();
  const { a, b, streams, put, vpc } = await world(control);
  const options = { "vpc-id": control.userId };
  const watch = { kind: "paths", options };
  const sol = await control.addUser("sol", "user-token-of-sol");
  const watchers = [
    await control.watch(control.user, [watch]),
    await control.watch(control.user, [{ kind: "paths" }], `${vpc}/events`),
    // One that comes back, with a number that means nothing here.
    await control.watch(control.user, [{ ...watch, at_tail: true, gt_revision: 7 }]),
  ];
  const others = [
    await control.watch(control.user, [{ kind: "device", options }]),
    await control.watch("user-token-of-sol", [{ kind: "paths", options: { "vpc-id": sol } }]),
  ];
  for (const stream of watchers.slice(0, 2)) {
    assert.deepEqual(await stream.next(), { kind: "paths", type: "tail" });
  }
  for (const stream of others) await stream.untilTails();
  const before = others.map(({ raw }) => raw);
  assert.equal(await put(a, report()), 204);
  const notice = { kind: "paths", type: "change", value: { vpc_id: control.userId } };
  for (const stream of watchers) assert.deepEqual(await stream.next(30_000), notice);

  // As many as a large VPC has to tell make as many notices as seconds.
  const began = performance.now();
  for (let i = 0; i < 60; i++) assert.equal(await put(i % 2 === 0 ? a : b, report()), 204);
  let notices = 0;
  const read = (): Promise<void> => watchers[0]!.next(2_000).then(() => (notices++, read()));
  await assert.rejects(read(), /silent/);
  const seconds = (performance.now() - began) / 1000;
  assert.ok(notices >= 1 && notices <= seconds - 1, `${notices} notices in ${seconds} s`);

  const heard = (stream: { raw: string }) => stream.raw.includes("paths");
  assert.deepEqual(others.map(({ raw }) => raw), before);
  assert.ok(!streams.some(heard), "a device is told");
  for (const [bearer, status] of [[a.token, 403], ["user-token-of-sol", 404]] as const) {
    const asked = await control.call("POST", "/api/events", bearer, [watch]);
    assert.equal(asked.status, status, asked.text);
  }
});
