/** Public relays: the API, the watch, the DERP map, the row of the own process, the prober. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { AddRelayRegion, RelayRegion } from "../api/types.ts";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { Store } from "../store/mod.ts";
import { TestControl } from "../testing.ts";
import { BUILT_IN, loadsNow, publishOwnRelay, RelayProber, trendOf } from "./mod.ts";
import { keepSamples } from "./samples.ts";

const OPERATOR = "user-token-of-the-operator";
const PATH = "/api/relay-regions";

async function start(): Promise<TestControl> {
  const control = await TestControl.start();
  await control.addOperator("operator", OPERATOR);
  return control;
}

async function list(control: TestControl, bearer = control.user): Promise<RelayRegion[]> {
  const { status, body } = await control.call("GET", PATH, bearer);
  equal(status, 200);
  return body;
}

async function add(control: TestControl, fields: AddRelayRegion): Promise<RelayRegion> {
  const { status, body, text } = await control.call("POST", PATH, OPERATOR, fields);
  equal(status, 201, text);
  return body;
}

Deno.test("relay regions begin with the built-in one, which goes with the first of one's own", async () => {
  await using control = await start();
  const { token } = await control.register();
  for (const bearer of [control.user, control.regKey, token]) {
    const [only, ...others] = await list(control, bearer);
    deepEqual(others, []);
    deepEqual([only!.hostname, only!.port, only!.built_in], ["relay.nexodus.io", 443, true]);
  }
  const path = `${PATH}/${BUILT_IN.id}`;
  equal((await control.call("GET", path, control.user)).body.name, "NexodusDefault");
  for (const [method, body] of [["PATCH", { drained: true }], ["DELETE", undefined]] as const) {
    const refused = await control.call(method, path, OPERATOR, body);
    equal(refused.status, 400);
    match(refused.body.reason, /built-in relay cannot be changed/);
  }
  const made = await add(control, { hostname: "Relay.Example.ORG." });
  deepEqual({ ...made, id: "" }, {
    ...{ id: "", name: "relay.example.org", region_id: 900, hostname: "relay.example.org" },
    ...{ port: 443, stun_port: 3478, weight: 100, drained: false, revision: 1 },
  });
  deepEqual((await list(control)).map(({ id }) => id), [made.id]);
  equal((await control.call("GET", path, control.user)).status, 404);
  equal((await control.call("DELETE", `${PATH}/${made.id}`, OPERATOR)).status, 200);
  equal((await list(control))[0]!.built_in, true);
});

Deno.test("relay regions are changed by the operator alone", async () => {
  await using control = await start();
  const { id } = await add(control, { hostname: "a.test" });
  const { token } = await control.register();
  for (const bearer of [control.user, control.regKey, token]) {
    for (
      const [method, path, body] of [
        ["POST", PATH, { hostname: "b.test" }],
        ["PATCH", `${PATH}/${id}`, { drained: true }],
        ["DELETE", `${PATH}/${id}`, undefined],
      ] as const
    ) equal((await control.call(method, path, bearer, body)).status, 403, `${method} ${path}`);
  }
  equal((await list(control))[0]!.drained, false);
  equal((await control.call("GET", PATH)).status, 401);
});

Deno.test("relay regions refuse what agents could not use, and two rows for one relay", async () => {
  await using control = await start();
  const dir = await Deno.makeTempDir();
  const { ca, cert } = await ensureSelfSigned(dir, ["a.test"]);
  await Deno.remove(dir, { recursive: true });
  const bad: [AddRelayRegion, string][] = [
    [{}, "hostname"],
    [{ hostname: "no name" }, "hostname"],
    [{ hostname: "1.2.3" }, "hostname"],
    [{ hostname: "a.test", port: 0 }, "port"],
    [{ hostname: "a.test", stun_port: 65536 }, "stun_port"],
    [{ hostname: "a.test", weight: -1 }, "weight"],
    [{ hostname: "a.test", name: "a\u0007" }, "name"],
    [
      { hostname: "a.test", ca: "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----" },
      "ca",
    ],
    [{ hostname: "a.test", ca: cert }, "ca"],
    [{ hostname: "a.test", ca: `${ca}and more` }, "ca"],
    [{ hostname: "a.test", ca: ca.repeat(4) }, "ca"],
  ];
  for (const [body, field] of bad) {
    const refused = await control.call("POST", PATH, OPERATOR, body);
    deepEqual([refused.status, refused.body.field], [400, field], JSON.stringify(body));
  }
  const first = await add(control, { hostname: "a.test", name: "one", ca });
  equal(first.ca, ca);
  for (const body of [{ hostname: "a.test" }, { hostname: "b.test", name: "one" }]) {
    const refused = await control.call("POST", PATH, OPERATOR, body);
    deepEqual([refused.status, refused.body.id], [409, first.id]);
  }
  const second = await add(control, { hostname: "a.test", port: 8443, name: "two" });
  equal(second.region_id, 902, "901 is the on-boarded relays'");
  const path = `${PATH}/${second.id}`;
  equal((await control.call("PATCH", path, OPERATOR, { port: 443 })).status, 409);
  const changed = await control.call("PATCH", path, OPERATOR, { weight: 200, ca: "" });
  deepEqual([changed.status, changed.body.weight], [200, 200]);
  deepEqual((await list(control)).map(({ name }) => name), ["two", "one"], "the heavier first");
});

Deno.test("relay regions come with the event stream to who asks for them, and to nobody else", async () => {
  await using control = await start();
  const { token } = await control.register();
  const stream = await control.watch(token, [{ kind: "relay-region" }]);
  deepEqual(await stream.untilTails(), [{ kind: "relay-region", type: "tail" }]);
  const { id } = await add(control, { hostname: "a.test" });
  const event = await stream.next();
  deepEqual([event.type, (event as { value: RelayRegion }).value.hostname], ["change", "a.test"]);
  await control.call("PATCH", `${PATH}/${id}`, OPERATOR, { drained: true });
  equal((await stream.next() as { value: RelayRegion }).value.drained, true);
  await control.call("DELETE", `${PATH}/${id}`, OPERATOR);
  const gone = await stream.next();
  deepEqual([gone.type, (gone as { value: RelayRegion }).value.id], ["delete", id]);
  await add(control, { hostname: "b.test" });
  const stock = await control.watch(token, [
    { kind: "device", options: { "vpc-id": control.userId } },
    { kind: "device-metadata", options: { "vpc-id": control.userId, key: "relay" } },
  ]);
  await stock.untilTails(2);
  ok(!stock.raw.includes("relay-region"));
});

Deno.test("relay regions are a DERP map for other clients, without credentials", async () => {
  await using control = await start();
  const map = async () => (await control.call("GET", "/derpmap/default")).body;
  deepEqual(await map(), {
    Regions: {
      900: {
        ...{ RegionID: 900, RegionCode: "nexodusdefault", RegionName: "NexodusDefault" },
        Nodes: [{ Name: "900nex", RegionID: 900, HostName: "relay.nexodus.io" }],
      },
    },
  });
  await add(control, { hostname: "a.test", region_id: 910, name: "West 1", weight: 200 });
  const b = { hostname: "b.test", region_id: 910, name: "West 2", port: 8443, stun_port: 0 };
  await add(control, b);
  const c = await add(control, { hostname: "c.test", region_id: 911, name: "East" });
  const { Regions } = await map();
  deepEqual(Regions[910], {
    ...{ RegionID: 910, RegionCode: "west-1", RegionName: "West 1" },
    Nodes: [
      { Name: "910nex", RegionID: 910, HostName: "a.test" },
      { Name: "910nex1", RegionID: 910, HostName: "b.test", DERPPort: 8443, STUNPort: -1 },
    ],
  });
  await control.call("PATCH", `${PATH}/${c.id}`, OPERATOR, { drained: true });
  equal((await map()).Regions[911].Avoid, true);
});

Deno.test("the own process' relay is entered once, kept up to date, and stays deleted", async () => {
  const store = await Store.open(":memory:");
  const rows = () =>
    store.db.selectFrom("relay_regions").selectAll().where("deleted_at", "is", null).execute();
  const own = { hostname: "nexd.test", port: 443, stunPort: 3478, ca: "" };
  await publishOwnRelay(store, own);
  const [first] = await rows();
  await store.db.updateTable("relay_regions").set({ drained: 1, name: "mine" }).execute();
  await publishOwnRelay(store, own);
  equal((await rows())[0]!.revision, first!.revision, "nothing has changed");
  await publishOwnRelay(store, { ...own, port: 8443 });
  const [again, ...others] = await rows();
  deepEqual(
    [again!.id, again!.port, again!.drained, again!.name, others.length],
    [first!.id, 8443, 1, "mine", 0],
  );
  await store.db.updateTable("relay_regions").set({ deleted_at: "now" }).execute();
  await publishOwnRelay(store, own);
  deepEqual(await rows(), []);
  await store.close();
});

Deno.test("the prober tells a relay that answers from one that does not", async () => {
  await using control = await start();
  const dir = await Deno.makeTempDir();
  const { ca, cert, key } = await ensureSelfSigned(dir, ["localhost"]);
  await Deno.remove(dir, { recursive: true });
  const serve = (handler: () => Response | Promise<Response>) =>
    Deno.serve({ hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} }, handler);
  const good = serve(() => new Response(null));
  const bad = serve(() => new Response("no", { status: 404 }));
  const released = Promise.withResolvers<Response>();
  const mute = serve(() => released.promise);
  const at = (server: Deno.HttpServer<Deno.NetAddr>, more = {}) =>
    add(control, {
      ...{ hostname: "localhost", port: server.addr.port, name: `p${server.addr.port}`, ca },
      ...more,
    });
  const prober = new RelayProber(control.store, { everyMs: 60_000, timeoutMs: 300 });
  try {
    const [up, wrong, silent] = [await at(good), await at(bad), await at(mute)];
    const away = await add(control, { hostname: "no-such-host.invalid" });
    await prober.look();
    equal(prober.health(up.id)!.state, "up", JSON.stringify(prober.health(up.id)));
    ok(prober.health(up.id)!.latency_ms! >= 0);
    match(prober.health(wrong.id)!.error!, /no relay/);
    match(prober.health(silent.id)!.error!, /no answer within 0.3 s/);
    equal(prober.health(away.id)!.state, "down");
    await control.call("PATCH", `${PATH}/${up.id}`, OPERATOR, { ca: "" });
    await control.call("DELETE", `${PATH}/${away.id}`, OPERATOR);
    await prober.look();
    equal(prober.health(up.id)!.state, "down", "its authority is not trusted any more");
    equal(prober.health(away.id), undefined);
  } finally {
    released.resolve(new Response(null));
    await prober.close();
    await Promise.all([good, bad, mute].map((server) => server.shutdown()));
  }
});

Deno.test("the prober keeps the trend of relays, and the load of those that tell it goes to the operator", async () => {
  await using control = await start();
  const dir = await Deno.makeTempDir();
  const { ca, cert, key } = await ensureSelfSigned(dir, ["localhost"]);
  await Deno.remove(dir, { recursive: true });
  let bytes = 1000, asked = 0;
  const serve = (metrics: () => Response) =>
    Deno.serve({ hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} }, (request) => {
      if (new URL(request.url).pathname === "/derp/probe") return new Response(null);
      asked++;
      return metrics();
    });
  const open = serve(() =>
    new Response(`derp_clients_local 3\nderp_bytes_received ${bytes}\nderp_bytes_sent 0\n`)
  );
  const shut = serve(() => new Response("no", { status: 403 }));
  const prober = new RelayProber(control.store, { everyMs: 60_000, timeoutMs: 5_000 });
  try {
    const at = (server: Deno.HttpServer<Deno.NetAddr>, name: string) =>
      add(control, { hostname: "localhost", port: server.addr.port, name, ca });
    const [tells, silent] = [await at(open, "tells"), await at(shut, "silent")];
    await prober.look();
    bytes += 50_000;
    await prober.look();
    equal(asked, 3, "one that refuses is left alone");
    const loads = () => loadsNow(control.store.db);
    const load = (await loads()).get(tells.id)!;
    equal(load.clients, 3);
    ok(load.bytes_per_second! > 0);
    equal((await loads()).get(silent.id), undefined);
    prober.tells(silent.id, () => Promise.resolve({ clients: 7, bytes: 0 }));
    await prober.look();
    equal((await loads()).get(silent.id)!.clients, 7);

    const trend = async (who: string) =>
      (await control.call("GET", `${PATH}/${tells.id}/trend`, who)).body.points;
    const seen = await trend(OPERATOR);
    equal(seen.length, 3);
    deepEqual([seen[1].clients, typeof seen[1].latency_ms], [3, "number"]);
    deepEqual(Object.keys((await trend(control.user))[1]), ["at", "latency_ms"]);
    const listed = async (who: string) =>
      (await control.call("GET", PATH, who)).body.find((row: RelayRegion) => row.id === tells.id);
    equal((await listed(OPERATOR)).load.clients, 3);
    equal((await listed(control.user)).load, undefined);
  } finally {
    await prober.close();
    await Promise.all([open.shutdown(), shut.shutdown()]);
  }
});

Deno.test("trends of relays are of all control planes, of an hour, and of a bounded number of points", async () => {
  await using control = await start();
  const { store } = control;
  const begin = Date.parse("2026-01-01T00:00:00Z"), every = 30_000;
  let now = begin;
  // Two control planes, of which one runs the relay and knows its load, for two hours.
  for (let i = 0; i < 240; i++) {
    now = begin + i * every;
    const at = (ms: number) => new Date(now + ms).toISOString();
    await keepSamples(store, "a", [
      { relayId: "r", at: at(0), latency_ms: 10, clients: i, bytes_per_second: 5e9 },
      { relayId: "other", at: at(0) },
    ], now);
    if (i < 235) await keepSamples(store, "b", [{ relayId: "r", at: at(1), latency_ms: 20 }], now);
  }
  const { count } = await store.db.selectFrom("relay_samples")
    .select((e) => e.fn.countAll<number>().as("count")).executeTakeFirstOrThrow();
  ok(Number(count) <= 3 * 121, `${count} rows`);
  const points = await trendOf(store.db, "r", true, now);
  ok(points.length > 100 && points.length <= 120, `${points.length} points`);
  ok(Date.parse(points[0]!.at) >= now - 3_600_000);
  deepEqual(points, points.toSorted((a, b) => a.at < b.at ? -1 : 1));
  equal(points[60]!.latency_ms, 15);
  deepEqual({ ...points.at(-1), at: "" }, {
    ...{ at: "", latency_ms: 10, clients: 239, bytes_per_second: 5e9 },
  });
  deepEqual(Object.keys((await trendOf(store.db, "r", false, now))[0]!), ["at", "latency_ms"]);
  const silent = await trendOf(store.db, "other", true, now);
  ok(silent.every((point) => Object.keys(point).join() === "at"));
  deepEqual([...await loadsNow(store.db, now)], [["r", { clients: 239, bytes_per_second: 5e9 }]]);
  deepEqual([...await loadsNow(store.db, now + 120_000)], []);
});
