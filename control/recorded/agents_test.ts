import assert from "node:assert/strict";
import type { Device } from "../api/types.ts";
import {
  ADMIN,
  comparable,
  DEV_KEY,
  type Exchange,
  flow,
  NINA,
  Replay,
  sameStream,
  withoutToken,
} from "./replay.ts";

const isApi = ({ url }: Exchange) => url.startsWith("https://api.");

/** The administrator of the recordings and the key that everybody knew. */
async function asRecorded(): Promise<Replay> {
  const replay = await Replay.start([ADMIN]);
  await replay.addDevKey();
  return replay;
}

/** Sends a flow, streams included; returns the streams. */
async function onboard(replay: Replay, exchanges: readonly Exchange[]) {
  const streams = [];
  let device: Device | undefined;
  for (const exchange of exchanges) {
    if (exchange.stream) {
      replay.learnToken(exchange, device!);
      streams.push(await sameStream(replay, exchange));
    } else {
      const body = await replay.same(exchange);
      if (exchange.method === "POST") device = body as Device;
    }
  }
  return { streams, device: device! };
}

Deno.test("two agents onboard with a registration key as recorded", async () => {
  const replay = await asRecorded();
  await using _control = replay.control;
  const { streams, device } = await onboard(replay, flow("agent-regkey-onboarding"));
  // What the first agent then learnt of the second.
  const news = await streams[0]!.next();
  assert.ok(news.kind === "device" && news.type === "change");
  assert.equal(news.value.id, device.id);
});

Deno.test("an agent that restarts meets the conflict, patches, and is let in as recorded", async () => {
  const replay = await asRecorded();
  await using _control = replay.control;
  const before = flow("agent-regkey-onboarding");
  for (const exchange of before.filter((e) => e.method === "POST" && !e.stream)) {
    await replay.same(exchange);
  }
  const exchanges = flow("agent-restart-409").filter((e) => isApi(e) && !e.stream);
  assert.deepEqual(exchanges.map((e) => e.status), [200, 200, 409, 200]);
  for (const exchange of exchanges.slice(0, 3)) await replay.same(exchange);
  await replay.same(exchanges[3]!, {
    why: "no stream is open yet here",
    body: (theirs) => ({ ...theirs, online: false, online_at: null }),
  });
});

Deno.test("a single-use key is made, used and exhausted as recorded", async () => {
  const replay = await Replay.start([NINA]);
  await using _control = replay.control;
  // There other devices had taken the first addresses.
  for (let i = 0; i < 5; i++) await replay.control.register();
  const exchanges = flow("agent-single-use-key").filter((e) => isApi(e) && !e.stream);
  for (const exchange of exchanges) {
    if (!exchange.url.includes("/device/login/")) await replay.same(exchange);
  }
});

Deno.test("a relay onboards, and agents that start later learn of it, as recorded", async () => {
  const replay = await asRecorded();
  await using _control = replay.control;
  const relay = flow("relayderp-onboarding"), peers = flow("relayderp-peers");
  const events = [...relay.at(-1)!.stream!, ...peers.at(-1)!.stream!].map(({ event }) => event);
  const known = new Map<string, Device>();
  const made = new Set([...relay, ...peers].map(({ response_body }) => response_body?.id));
  for (const event of events) {
    if (event.kind !== "device" || event.type !== "change" || made.has(event.value.id)) continue;
    if (!known.has(event.value.id)) known.set(event.value.id, event.value);
  }
  await replay.addDevices([...known.values()]);
  await replay.store.db.updateTable("devices").set({ online: 0 }).execute();
  let device: Device | undefined;
  for (const exchange of [...relay, ...peers]) {
    if (!exchange.stream) {
      // Addresses that were free there are others here.
      const change = exchange.status === 201
        ? { why: "addresses", body: (theirs: Device) => ({ ...theirs, ...addresses(device!) }) }
        : undefined;
      if (!change) await replay.same(exchange);
      else {
        const { status, body } = await replay.send(exchange);
        device = body as Device;
        assert.equal(status, 201);
        assert.deepEqual(comparable(device), replay.expected(change.body(exchange.response_body)));
      }
      continue;
    }
    replay.learnToken(exchange, device!);
    const watches = exchange.request_body as { kind: string }[];
    const stream = await replay.control.watch(replay.bearer(exchange)!, watches);
    const got = await stream.untilTails(watches.length);
    const metadata = got.filter((event) => event.kind === "device-metadata");
    const theirs = exchange.stream!.map(({ event }) => event)
      .filter((event) => event.kind === "device-metadata");
    assert.deepEqual(
      metadata.map(comparable),
      theirs.map((event) => replay.expected(withoutToken(event))),
    );
    const ids = (list: typeof got) =>
      list.flatMap((event) =>
        event.kind === "device" && event.type === "change" ? [event.value.id] : []
      );
    const tail = exchange.stream!.findIndex(({ event }) =>
      event.kind === "device" && event.type === "tail"
    );
    const before = exchange.stream!.slice(0, tail).map(({ event }) => event);
    assert.deepEqual(
      new Set(ids(got)),
      new Set(ids(before).map((id) => replay.names.get(id) ?? id)),
    );
  }
});

function addresses({ allowed_ips, ipv4_tunnel_ips, ipv6_tunnel_ips }: Device) {
  return { allowed_ips, ipv4_tunnel_ips, ipv6_tunnel_ips };
}

Deno.test("an agent's changes of its endpoints are answered as recorded, and its stream lasts", async () => {
  const exchanges = flow("agent-stun-rebind").filter(isApi);
  const user = exchanges.find(({ url }) => url.endsWith("/users/me"))!.response_body;
  const replay = await Replay.start([user]);
  await using _control = replay.control;
  let stream: Awaited<ReturnType<Replay["control"]["watch"]>> | undefined;
  let device: Device | undefined;
  const resumed: Exchange[] = [];
  for (const exchange of exchanges) {
    if (exchange.url.includes("/device/login/")) continue;
    if (exchange.stream) {
      // Weakness 35: it had to open another one after each change of its own.
      if (stream) {
        resumed.push(exchange);
        continue;
      }
      replay.learnToken(exchange, device!);
      stream = await replay.control.watch(
        replay.bearer(exchange)!,
        exchange.request_body as { kind: string }[],
      );
      await stream.untilTails(3);
      continue;
    }
    const { status, body } = await replay.send(exchange);
    const theirs = exchange.response_body;
    assert.equal(status, exchange.status);
    if (theirs.public_key === undefined) {
      assert.deepEqual(comparable(body), replay.expected(theirs));
      continue;
    }
    device = body as Device;
    // There another device had the first address, and presence had other moments.
    const same = { ...theirs, ...addresses(device), online: device.online };
    assert.deepEqual(
      comparable({ ...device, online_at: null }),
      replay.expected({ ...same, online_at: null }),
    );
    if (exchange.method === "PATCH" && stream) {
      const event = await stream.next();
      assert.ok(event.kind === "device" && event.type === "change");
      assert.deepEqual(event.value.endpoints, device.endpoints);
    }
  }
  assert.ok(resumed.length >= 1);
});

Deno.test("a key whose text was not made here works, and its text is nowhere", async () => {
  const replay = await asRecorded();
  await using _control = replay.control;
  const { body } = await replay.control.call("GET", "/api/reg-keys", ADMIN.id);
  assert.deepEqual(body.map((key: { bearer_token: string }) => key.bearer_token), [""]);
  const me = await replay.control.call("GET", "/api/reg-keys/me", DEV_KEY);
  assert.equal(me.body.bearer_token, DEV_KEY);
});
