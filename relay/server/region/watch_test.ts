import assert from "node:assert/strict";
import {
  decodePeerGone,
  decodePeerPresent,
  encodeClosePeer,
  encodePing,
  encodeSendPacket,
  encodeWatchConns,
  FrameType,
  generatePrivateKey,
  PeerGoneReason,
  PeerPresentFlag,
} from "../../derp/mod.ts";
import { Counters } from "../counters.ts";
import { MAX_UPDATES } from "../limits.ts";
import { Watcher } from "../peers/mod.ts";
import { type TestClient, TestServer } from "../testing.ts";

const meshKey = new Uint8Array(32).fill(0x33);
const { Regular, Mesh, Prober, NotIdeal } = PeerPresentFlag;

/** The next frame, as `+key` or `-key`. */
async function change(client: TestClient): Promise<string> {
  const frame = (await client.next())!;
  if (frame.type === FrameType.PeerPresent) {
    return "+" + decodePeerPresent(frame.payload).key.toHex();
  }
  assert.equal(frame.type, FrameType.PeerGone);
  const { key, reason } = decodePeerGone(frame.payload);
  assert.equal(reason, PeerGoneReason.Disconnected);
  return "-" + key.toHex();
}

async function watcher(server: TestServer, privateKey?: Uint8Array): Promise<TestClient> {
  const client = await server.relayClient(privateKey);
  await client.send(encodeWatchConns());
  return client;
}

const hex = (client: TestClient) => client.publicKey.toHex();

Deno.test("a watcher sees itself first, then who comes and goes", async () => {
  await using server = new TestServer({}, { meshKey });
  const one = await watcher(server);
  assert.equal(await change(one), `+${hex(one)}`);
  const a = await server.client();
  assert.equal(await change(one), `+${hex(a)}`);
  const two = await watcher(server);
  assert.equal(await change(one), `+${hex(two)}`);
  const seen = [await change(two), await change(two), await change(two)];
  assert.deepEqual(new Set(seen), new Set([one, a, two].map((client) => `+${hex(client)}`)));
  a.close();
  assert.equal(await change(one), `-${hex(a)}`);
  assert.equal(await change(two), `-${hex(a)}`);
  assert.equal(server.relay.region.watchers.size, 2);
  two.close();
  assert.equal(await change(one), `-${hex(two)}`);
  assert.equal(server.relay.region.watchers.size, 1);
});

Deno.test("PeerPresent tells what a client is and where from", async () => {
  await using server = new TestServer({}, { meshKey });
  const relay = await watcher(server);
  const first = decodePeerPresent(await relay.expect(FrameType.PeerPresent));
  assert.deepEqual(first, { key: relay.publicKey, flags: Mesh });
  const clients = [
    { flags: Regular, info: {}, upgrade: { address: "203.0.113.7", port: 41641 } },
    { flags: Prober, info: { isProber: true }, upgrade: { address: "2001:db8::1", port: 1 } },
    { flags: NotIdeal, info: {}, upgrade: { notIdeal: true } },
    { flags: Prober | NotIdeal, info: { isProber: true }, upgrade: { notIdeal: true } },
  ];
  for (const { flags, info, upgrade } of clients) {
    const { publicKey } = await server.client(Infinity, undefined, info, upgrade);
    const present = decodePeerPresent(await relay.expect(FrameType.PeerPresent));
    const { address, port } = upgrade as { address?: string; port?: number };
    const expected = address === undefined ? {} : { address, port };
    assert.deepEqual(present, { key: publicKey, flags, ...expected });
  }
});

Deno.test("a watcher hears of each connection of a key, and of the last one's end", async () => {
  await using server = new TestServer({}, { meshKey });
  const relay = await watcher(server);
  await change(relay);
  const key = generatePrivateKey();
  const [a, b] = [await server.client(Infinity, key), await server.client(Infinity, key)];
  assert.equal(await change(relay), `+${hex(a)}`);
  assert.equal(await change(relay), `+${hex(a)}`);
  a.close();
  await b.send(encodePing(new Uint8Array(8)));
  await b.expect(FrameType.Pong);
  b.close();
  assert.equal(await change(relay), `-${hex(a)}`);
});

Deno.test("WatchConns asked again repeats everything, and asked with our own key does nothing", async () => {
  await using server = new TestServer({}, { meshKey });
  const relay = await watcher(server);
  await change(relay);
  await relay.send(encodeWatchConns());
  assert.equal(await change(relay), `+${hex(relay)}`);
  assert.equal(server.relay.region.watchers.size, 1);

  // Another worker of this relay that came through the mesh has its key.
  const self = await watcher(server, server.privateKey);
  await self.send(encodePing(new Uint8Array(8)));
  await self.expect(FrameType.Pong);
  assert.equal(server.relay.region.watchers.size, 1);
});

Deno.test("a slow watcher gets every key and change, though little fits at a time", async () => {
  await using server = new TestServer({ controlBytes: 300, meshWriteMs: 60_000 }, { meshKey });
  const { region } = server.relay;
  const link = region.open("worker", true, {
    write: (bytes) => Promise.resolve(bytes.length),
    close: () => {},
  });
  const keys = Array.from({ length: 1000 }, () => crypto.getRandomValues(new Uint8Array(32)));
  const plain = (key: Uint8Array) =>
    new Uint8Array([9, 0, 0, 0, 51, ...key, ...new Uint8Array(19)]);
  for (const key of keys) region.present(link, key, { plain: plain(key), stamp: 1 });
  const relay = await server.client(100, undefined, { meshKey: meshKey.toHex() });
  await relay.send(encodeWatchConns());
  for (const key of keys.slice(0, 500)) region.gone(link, key);
  for (const key of keys.slice(0, 250)) region.present(link, key, { plain: plain(key), stamp: 2 });
  const there = new Set([...keys.slice(0, 250), ...keys.slice(500)].map((key) => key.toHex()));
  const seen = new Set<string>();
  const same = () => seen.size === there.size + 1 && there.isSubsetOf(seen);
  while (!same()) {
    const what = await change(relay);
    if (what[0] === "+") seen.add(what.slice(1));
    else seen.delete(what.slice(1));
  }
  assert(seen.has(hex(relay)));
  region.closed(link);
});

Deno.test("Watcher closes one that never takes anything, rather than leave a change out", () => {
  let closed = false;
  const output = { sibling: false, control: () => false, close: () => closed = true };
  const watcher = new Watcher(output, new Counters());
  const frame = new Uint8Array(0);
  for (let i = 0; i < MAX_UPDATES; i++) watcher.update(frame);
  assert(!closed);
  watcher.update(frame);
  assert(closed);
});

Deno.test("a relay of the region has more time for a write than a client", async () => {
  await using server = new TestServer({ writeMs: 40, meshWriteMs: 60_000 }, { meshKey });
  const relay = await server.client(50, undefined, { meshKey: meshKey.toHex() });
  const client = await server.client(50);
  const a = await server.client();
  const packet = new Uint8Array(400);
  for (let i = 0; i < 5; i++) {
    for (const to of [relay, client]) await a.send(encodeSendPacket(to.publicKey, packet));
    await a.send(encodePing(new Uint8Array(8)));
    await a.expect(FrameType.Pong);
  }
  while (server.relay.counters.writeTimeouts === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { registry } = server.relay;
  assert.equal(registry.find(client.publicKey, 0), undefined);
  assert.notEqual(registry.find(relay.publicKey, 0), undefined);
  await relay.expect(FrameType.RecvPacket);
});

Deno.test("nobody watches when a relay ended itself and asked to watch in one breath", async () => {
  await using server = new TestServer({}, { meshKey });
  const one = await server.relayClient();
  const breath = [encodeClosePeer(one.publicKey), encodeWatchConns()];
  await one.send(new Uint8Array(breath.flatMap((frame) => [...frame])));
  while (await one.next() !== undefined);
  assert.equal(server.relay.snapshot().gauges.watchers, 0);
});

Deno.test("a snapshot tells in which batches a watcher was told", async () => {
  await using server = new TestServer({ controlBytes: 3 * 56 }, { meshKey });
  for (let i = 0; i < 5; i++) await server.client();
  const one = await watcher(server);
  for (let i = 0; i < 6; i++) await change(one);
  const { meshUpdateBatchSize, meshUpdateLoopCount } = server.relay.snapshot();
  assert.equal(meshUpdateBatchSize!.sum, 6, "each change is in one batch");
  const batches = meshUpdateBatchSize!.counts.reduce((sum, n) => sum + n, 0);
  assert(batches >= 2, "there is no room for all at once");
  assert.equal(meshUpdateLoopCount!.sum, batches, "and each batch is one round");
  assert.equal(meshUpdateLoopCount!.counts.reduce((sum, n) => sum + n, 0), 1, "of one telling");
});
