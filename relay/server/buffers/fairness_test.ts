import assert from "node:assert/strict";
import fc from "fast-check";
import {
  encodePong,
  encodeRecvPacket,
  encodeSendPacket,
  FrameReader,
  FrameType,
  generatePrivateKey,
  publicKeyOf,
} from "../../derp/mod.ts";
import { Counters } from "../counters.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { RelayServer } from "../server.ts";
import { MemorySocket, TestClient } from "../testing.ts";
import { Pools } from "./pool.ts";
import { OutputQueue } from "./queue.ts";
import { SourceTally } from "./tally.ts";

const FLOODER = 99;

function packet(source: number, n: number, size: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(4, size));
  new DataView(bytes.buffer).setUint32(0, n);
  return encodeRecvPacket(new Uint8Array(32).fill(source), bytes);
}

/** The numbers of the packets of each source, in order; control frames as source -1. */
function bySource(batch: Uint8Array): Map<number, number[]> {
  const reader = new FrameReader(1 << 20);
  reader.push(batch.slice());
  const seen = new Map<number, number[]>();
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
    const { type, payload } = frame;
    const packet = type === FrameType.RecvPacket;
    const source = packet ? payload[0]! : -1;
    const n = packet ? new DataView(payload.buffer, payload.byteOffset + 32).getUint32(0) : 0;
    seen.set(source, [...seen.get(source) ?? [], n]);
  }
  assert.equal(reader.buffered, 0);
  return seen;
}

Deno.test("OutputQueue drops the packets of the source that fills it, not those of light ones", () => {
  const counters = new Counters();
  const queue = new OutputQueue(DEFAULT_LIMITS, new Pools(DEFAULT_LIMITS), counters);
  const push = (frame: Uint8Array) => queue.pushPackets(frame, 0, frame.length, 1);
  for (let n = 0; n < 5000; n++) {
    push(packet(FLOODER, n, 1312));
    if (n % 100 === 0) push(packet(n / 100, n, 100));
  }
  const seen = bySource(queue.beginWrite()!);
  for (let source = 0; source < 50; source++) assert.deepEqual(seen.get(source), [100 * source]);
  const flood = seen.get(FLOODER)!;
  assert(flood.length > 150, `${flood.length} of the flood`);
  assert.equal(flood.at(-1), 4999);
  assert.deepEqual(flood, flood.toSorted((a, b) => a - b));
  assert.equal(counters.droppedTotal(), 5000 - flood.length);
});

Deno.test("OutputQueue shares itself evenly between sources that all want more", () => {
  const queue = new OutputQueue(DEFAULT_LIMITS, new Pools(DEFAULT_LIMITS), new Counters());
  for (let n = 0; n < 4000; n++) {
    // The first sends four times as often.
    const frame = packet([1, 1, 1, 1, 2, 3][n % 6]!, n, 100);
    queue.pushPackets(frame, 0, frame.length, 1);
  }
  const seen = bySource(queue.beginWrite()!);
  for (const source of [1, 2, 3]) {
    const { length } = seen.get(source)!;
    assert(length > 140 && length < 210, `source ${source} has ${length}`);
  }
});

Deno.test("OutputQueue keeps each source's order, the limits and all control frames", () => {
  const operation = fc.record({
    source: fc.nat(6),
    size: fc.oneof(fc.constant(100), fc.nat(3000)),
    control: fc.nat(30).map((n) => n === 0),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 600, size: "max" }), (operations) => {
      const limits = { ...DEFAULT_LIMITS, queuePackets: 64, queueBytes: 80_000 };
      const counters = new Counters();
      const queue = new OutputQueue(limits, new Pools(limits), counters);
      let controls = 0;
      operations.forEach(({ source, size, control }, n) => {
        const frame = packet(source, n, size);
        queue.pushPackets(frame, 0, frame.length, 1);
        if (control && queue.pushControl(encodePong(new Uint8Array(8)))) controls++;
        assert(queue.packets <= 64);
        assert(queue.bytes <= 80_000 + 13 * controls || queue.packets <= 32);
      });
      const seen = bySource(queue.beginWrite() ?? new Uint8Array(0));
      assert.equal(seen.get(-1)?.length ?? 0, controls);
      let packets = 0;
      for (const [source, numbers] of seen) {
        if (source < 0) continue;
        packets += numbers.length;
        assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b));
      }
      assert.equal(packets, operations.length - counters.droppedTotal());
      queue.endWrite(true);
      assert.equal(counters.packetsSent, packets);
    }),
    { numRuns: 60 },
  );
});

Deno.test("SourceTally leaves light sources whole, and takes what is over from the heavy ones", () => {
  const tally = new SourceTally();
  const key = (n: number) => new Uint8Array(8).fill(n);
  for (let again = 0; again < 2; again++) {
    tally.start();
    for (const [n, weight] of [[1, 10], [2, 50], [3, 500], [4, 1000]] as const) {
      tally.add(key(n), 0, weight);
    }
    tally.share(660);
    assert.equal(tally.sources, 4);
    assert.equal(tally.excess, 200 + 700);
    assert.deepEqual([1, 2, 3, 4].map((n) => tally.drops(key(n), 0, 200)), [
      false,
      false,
      true,
      true,
    ]);
    assert.equal(tally.drops(key(3), 0, 200), false);
    assert.equal(tally.excess, 500);
  }
  tally.start();
  const many = new Uint8Array(8 * 3000);
  const view = new DataView(many.buffer);
  for (let i = 0; i < 3000; i++) {
    view.setUint32(8 * i, i);
    tally.add(many, 8 * i, 1);
  }
  assert.equal(tally.sources, 1025, "more than it tells apart are one");
  tally.share(1e6);
  assert.equal(tally.excess, 0);
  tally.start();
});

Deno.test("a client that floods a destination costs the pings of 50 others none", async () => {
  const privateKey = generatePrivateKey();
  const relay = new RelayServer({ privateKey, publicKey: publicKeyOf(privateKey) });
  const connect = async (high?: number) => {
    const [near, far] = MemorySocket.pair(high);
    void relay.accept(
      far,
      {
        initial: new Uint8Array(0),
        fastStart: true,
        notIdeal: false,
        remote: "test",
      } as Parameters<RelayServer["accept"]>[1],
    );
    const client = new TestClient(near);
    await client.login();
    return client;
  };
  const target = await connect(64 * 1024);
  const flooder = await connect();
  const pingers: TestClient[] = [];
  for (let i = 0; i < 50; i++) pingers.push(await connect());
  const flood = new Uint8Array(
    Array.from(
      { length: 40 },
      () => [...encodeSendPacket(target.publicKey, new Uint8Array(1312).fill(FLOODER))],
    ).flat(),
  );
  // Nobody reads while everything is sent.
  for (let i = 0; i < 50; i++) {
    for (let n = 0; n < 4; n++) await flooder.send(flood);
    await pingers[i]!.send(encodeSendPacket(target.publicKey, Uint8Array.of(i, 1)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  while (relay.counters.packetsReceived < 50 * 161) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert(relay.counters.droppedTotal() > 5000);
  const pings = new Set<number>();
  while (pings.size < 50) {
    const frame = await target.next();
    assert(frame !== undefined, "the relay closed");
    if (frame.type === FrameType.RecvPacket && frame.payload.length === 34) {
      pings.add(frame.payload[32]!);
    }
  }
  for (const client of [target, flooder, ...pingers]) client.close();
  await relay.close();
});
