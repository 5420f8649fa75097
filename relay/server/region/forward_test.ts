import assert from "node:assert/strict";
import fc from "fast-check";
import {
  encodeClosePeer,
  encodeForwardPacket,
  encodeFrame,
  encodePing,
  encodeRecvPacket,
  encodeSendPacket,
  encodeWatchConns,
  FrameReader,
  FrameType,
  generatePrivateKey,
  HEADER_LENGTH,
  PeerGoneReason,
  publicKeyOf,
} from "../../derp/mod.ts";
import { DropReason } from "../counters.ts";
import type { Link } from "../links/mod.ts";
import { type TestClient, TestServer } from "../testing.ts";

const meshKey = new Uint8Array(32).fill(0x33);
const bytes = (text: string) => new TextEncoder().encode(text);
const disco = () => {
  const packet = new Uint8Array(62);
  packet.set([0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac]);
  return packet;
};
const source = new Uint8Array(32).fill(7);
const someone = () => publicKeyOf(generatePrivateKey());

/** Waits until all that was sent before has been handled. */
async function sync(client: TestClient): Promise<void> {
  await client.send(encodePing(new Uint8Array(8)));
  await client.expect(FrameType.Pong);
}

/** A link to another relay that keeps what is written to it. */
class FakeLink {
  readonly frames: { type: number; payload: Uint8Array }[] = [];
  readonly link: Link;
  readonly #reader = new FrameReader(1 << 20);
  #arrived: (() => void) | undefined;

  constructor(readonly server: TestServer, name = "other", sibling = false) {
    this.link = server.relay.region.open(name, sibling, {
      write: (bytes) => {
        this.#reader.push(bytes);
        for (let frame; (frame = this.#reader.next()) !== undefined;) this.frames.push(frame);
        this.#arrived?.();
        return Promise.resolve(bytes.length);
      },
      close: () => {},
    });
  }

  has(key: Uint8Array): void {
    assert(this.server.relay.region.present(this.link, key));
  }

  async next(): Promise<{ type: number; payload: Uint8Array }> {
    while (this.frames.length === 0) {
      await new Promise<void>((resolve) => this.#arrived = resolve);
    }
    return this.frames.shift()!;
  }
}

Deno.test("a packet for a key of another relay goes there as ForwardPacket", async () => {
  await using server = new TestServer();
  const a = await server.client();
  const other = new FakeLink(server);
  const key = someone();
  other.has(key);
  const packets = [bytes("one"), new Uint8Array(0), new Uint8Array(65536).fill(1), bytes("four")];
  for (const packet of packets) await a.send(encodeSendPacket(key, packet));
  for (const packet of packets) {
    const { type, payload } = await other.next();
    assert.equal(type, FrameType.ForwardPacket);
    assert.deepEqual(
      payload,
      encodeForwardPacket(a.publicKey, key, packet).subarray(HEADER_LENGTH),
    );
  }
  const { counters } = server.relay;
  assert.deepEqual([counters.forwardedOut, counters.packetsReceived], [4, 4]);
});

Deno.test("a key that is here gets its packets here, whatever other relays say", async () => {
  await using server = new TestServer();
  const [a, b] = [await server.client(), await server.client()];
  const other = new FakeLink(server);
  other.has(b.publicKey);
  await a.send(encodeSendPacket(b.publicKey, bytes("here")));
  await b.expect(FrameType.RecvPacket);
  b.close();
  await sync(a);
  while (server.relay.registry.keys > 1) await new Promise((resolve) => setTimeout(resolve, 1));
  await a.send(encodeSendPacket(b.publicKey, bytes("there")));
  assert.equal((await other.next()).type, FrameType.ForwardPacket);
  // Known elsewhere, so nobody was told that it went; and now it is.
  server.relay.region.gone(other.link, b.publicKey);
  await sync(a);
  assert.equal(server.relay.registry.find(b.publicKey, 0), undefined);
});

Deno.test("a forwarded packet is delivered as if its source were here", async () => {
  await using server = new TestServer({}, { meshKey });
  const [relay, b] = [await server.relayClient(), await server.client()];
  await relay.send(encodeForwardPacket(source, b.publicKey, bytes("hello")));
  assert.deepEqual(
    await b.expect(FrameType.RecvPacket),
    encodeRecvPacket(source, bytes("hello")).subarray(HEADER_LENGTH),
  );
  const { counters } = server.relay;
  assert.deepEqual([counters.forwardedIn, counters.packetsReceived], [1, 0]);
});

Deno.test("forwarded packets arrive the same however the stream is cut", async () => {
  await using server = new TestServer({}, { meshKey });
  const [relay, b, c] = [await server.relayClient(), await server.client(), await server.client()];
  const packets = fc.array(
    fc.record({ to: fc.boolean(), size: fc.oneof(fc.nat(80), fc.nat(3000), fc.nat(65536)) }),
    { minLength: 1, maxLength: 6 },
  );
  await fc.assert(
    fc.asyncProperty(packets, fc.array(fc.nat(), { maxLength: 8 }), async (list, cuts) => {
      const sent = list.map(({ to, size }, i) => ({
        to: to ? b : c,
        frame: encodeForwardPacket(
          source,
          (to ? b : c).publicKey,
          new Uint8Array(size).fill(i),
        ),
      }));
      const parts = [...sent.map(({ frame }) => frame), encodePing(new Uint8Array(8))];
      const stream = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      parts.reduce((at, part) => (stream.set(part, at), at + part.length), 0);
      let at = 0;
      for (const cut of [...cuts.map((n) => n % stream.length).sort((x, y) => x - y), Infinity]) {
        await relay.send(stream.subarray(at, cut));
        await Promise.resolve();
        at = cut;
      }
      for (const { to, frame } of sent) {
        const payload = await to.expect(FrameType.RecvPacket);
        assert.deepEqual(payload.subarray(32), frame.subarray(HEADER_LENGTH + 64));
        assert.deepEqual(payload.subarray(0, 32), source);
      }
      await relay.expect(FrameType.Pong);
    }),
    { numRuns: 40 },
  );
});

Deno.test("a forwarded packet is never forwarded again, and its relay learns that", async () => {
  await using server = new TestServer({}, { meshKey });
  const relay = await server.relayClient();
  const other = new FakeLink(server);
  const key = someone();
  other.has(key);
  await relay.send(encodeForwardPacket(source, key, bytes("no answer for data")));
  for (let i = 0; i < 6; i++) await relay.send(encodeForwardPacket(source, key, disco()));
  for (let i = 0; i < 3; i++) {
    const payload = await relay.expect(FrameType.PeerGone);
    assert.deepEqual(payload.subarray(0, 32), key);
    assert.equal(payload[32], PeerGoneReason.NotHere);
  }
  await sync(relay); // Limited: three at once.
  assert.equal(other.frames.length, 0);
  assert.equal(server.relay.counters.droppedTotal(DropReason.UnknownDestOnForward), 7);
});

Deno.test("a forwarded packet without a source is dropped", async () => {
  await using server = new TestServer({}, { meshKey });
  const [relay, b] = [await server.relayClient(), await server.client()];
  await relay.send(encodeForwardPacket(new Uint8Array(32), b.publicKey, bytes("nobody's")));
  await relay.send(encodeForwardPacket(source, b.publicKey, bytes("somebody's")));
  const payload = await b.expect(FrameType.RecvPacket);
  assert.equal(new TextDecoder().decode(payload.subarray(32)), "somebody's");
});

Deno.test("a relay that breaks the rules of its frames is closed", async () => {
  await using server = new TestServer({}, { meshKey });
  const broken = [
    encodeFrame(FrameType.ForwardPacket, new Uint8Array(63)),
    new Uint8Array([FrameType.ForwardPacket, 0, 1, 0, 65]),
    encodeFrame(FrameType.WatchConns, new Uint8Array(1)),
    encodeFrame(FrameType.ClosePeer, new Uint8Array(31)),
    encodeFrame(FrameType.ClosePeer, new Uint8Array(33)),
  ];
  for (const frame of broken) {
    const relay = await server.relayClient();
    await relay.send(frame);
    assert.equal(await relay.next(), undefined);
  }
  assert.equal(server.relay.counters.protocolErrors, broken.length);
});

Deno.test("a wrong mesh key, and a zero one whatever is set, gives no rights", async () => {
  const zero = new Uint8Array(32);
  for (const [ours, theirs] of [[meshKey, source], [zero, zero], [undefined, meshKey]] as const) {
    await using server = new TestServer();
    server.relay.meshKey = ours;
    const client = await server.client(Infinity, undefined, { meshKey: theirs.toHex() });
    await sync(client); // A client like others.
    await client.send(encodeWatchConns());
    assert.equal(await client.next(), undefined);
  }
});

Deno.test("ClosePeer ends every connection of a key, and asks siblings that have it", async () => {
  await using server = new TestServer({}, { meshKey });
  const relay = await server.relayClient();
  const key = generatePrivateKey();
  const [a, b, c] = [
    await server.client(Infinity, key),
    await server.client(Infinity, key),
    await server.client(),
  ];
  const worker = new FakeLink(server, "worker", true);
  const { region } = server.relay;
  region.present(worker.link, a.publicKey, { plain: new Uint8Array(56), stamp: 1 });
  await relay.send(encodeClosePeer(someone()));
  await relay.send(encodeClosePeer(a.publicKey));
  assert.equal(await a.next(), undefined);
  assert.equal(await b.next(), undefined);
  await sync(c);
  const asked = await worker.next();
  assert.deepEqual([asked.type, asked.payload], [FrameType.ClosePeer, a.publicKey]);
  assert.equal(server.relay.closePeer(c.publicKey), 1);
});

Deno.test("who heard from a key through a relay is told when no relay has it", async () => {
  await using server = new TestServer({}, { meshKey });
  const [relay, b] = [await server.relayClient(), await server.client()];
  const [one, two] = [new FakeLink(server, "one"), new FakeLink(server, "two")];
  for (let round = 0; round < 2; round++) { // Told again when the key has been back.
    one.has(source);
    two.has(source);
    await relay.send(encodeForwardPacket(source, b.publicKey, bytes("x")));
    await b.expect(FrameType.RecvPacket);
    server.relay.region.gone(one.link, source);
    await sync(b);
    server.relay.region.gone(two.link, source);
    const payload = await b.expect(FrameType.PeerGone);
    assert.deepEqual(payload.subarray(0, 32), source);
    assert.equal(payload[32], PeerGoneReason.Disconnected);
  }
  server.relay.region.gone(one.link, source);
  assert.equal(server.relay.counters.forwarderDeleteOther, 1, "nobody has it");
});

Deno.test("who heard from many keys of a relay is told of each when the relay is lost", async () => {
  await using server = new TestServer({ controlBytes: 200 }, { meshKey });
  const [relay, b] = [await server.relayClient(), await server.client()];
  const other = new FakeLink(server);
  const keys = Array.from({ length: 100 }, (_, i) => new Uint8Array(32).fill(i + 1));
  for (const key of keys) {
    other.has(key);
    await relay.send(encodeForwardPacket(key, b.publicKey, bytes("x")));
    await b.expect(FrameType.RecvPacket);
  }
  server.relay.region.closed(other.link);
  const gone = new Set<string>();
  for (const _ of keys) {
    gone.add((await b.expect(FrameType.PeerGone)).subarray(0, 32).toHex());
  }
  assert.equal(gone.size, keys.length);
  assert.equal(server.relay.counters.peerGoneDisconnected, keys.length);
});

Deno.test("a link that ends takes along what only it knew", async () => {
  await using server = new TestServer();
  const a = await server.client();
  const [one, two] = [new FakeLink(server, "one"), new FakeLink(server, "two")];
  const [both, alone] = [someone(), someone()];
  for (const key of [both, alone, a.publicKey]) one.has(key);
  two.has(both);
  const { region, registry, counters } = server.relay;
  region.closed(one.link);
  region.closed(one.link);
  assert.equal(registry.find(alone, 0), undefined);
  await a.send(encodeSendPacket(both, bytes("x")));
  assert.equal((await two.next()).type, FrameType.ForwardPacket);
  assert.deepEqual([counters.multiforwarderCreated, counters.multiforwarderDeleted], [1, 1]);
  assert(!region.present(one.link, alone), "nothing more is learned from it");
  assert.deepEqual([registry.total, registry.keys, registry.check()], [2, 1, []]);
});
