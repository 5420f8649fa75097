import assert from "node:assert/strict";
import fc from "fast-check";
import {
  DISCO_MAGIC,
  encodePong,
  encodeRecvPacket,
  FrameReader,
  FrameType,
  MAX_PACKET,
} from "../../derp/mod.ts";
import { Counters, DropReason } from "../counters.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { Pools } from "./pool.ts";
import { OutputQueue } from "./queue.ts";

const SOURCE = new Uint8Array(32).fill(9);

function queueOf(limits: Partial<Limits> = {}) {
  const all = { ...DEFAULT_LIMITS, ...limits };
  const counters = new Counters();
  return { queue: new OutputQueue(all, new Pools(all), counters), counters };
}

function numbered(n: number, size = 4): Uint8Array {
  const packet = new Uint8Array(Math.max(4, size));
  new DataView(packet.buffer).setUint32(0, n);
  return encodeRecvPacket(SOURCE, packet);
}

function disco(n: number): Uint8Array {
  const frame = numbered(n, 100);
  // The number is where the magic belongs; so it goes behind.
  frame.copyWithin(37 + 8, 37, 41);
  frame.set(DISCO_MAGIC, 37);
  return frame;
}

function push(queue: OutputQueue, frame: Uint8Array): void {
  queue.pushPackets(frame, 0, frame.length, 1);
}

/** What a batch says: packet numbers, and control frames as `c` and their first byte. */
function read(batch: Uint8Array | undefined): (number | string)[] {
  const reader = new FrameReader(1 << 20);
  reader.push((batch ?? new Uint8Array(0)).slice());
  const seen: (number | string)[] = [];
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
    if (frame.type === FrameType.RecvPacket) {
      const at = frame.payload[32] === DISCO_MAGIC[0] ? 32 + 8 : 32;
      seen.push(new DataView(frame.payload.buffer, frame.payload.byteOffset + at).getUint32(0));
    } else seen.push(`c${frame.payload[0]}`);
  }
  assert.equal(reader.buffered, 0, "a batch ends at a frame's end");
  return seen;
}

const control = (n: number) => encodePong(new Uint8Array(8).fill(n));

Deno.test("OutputQueue keeps order of packets and control frames", () => {
  const { queue, counters } = queueOf();
  push(queue, numbered(1));
  assert(queue.pushControl(control(7)));
  push(queue, numbered(2));
  assert.deepEqual(read(queue.beginWrite()), [1, "c7", 2]);
  queue.endWrite(true);
  assert.equal(counters.packetsSent, 2);
  assert.equal(counters.bytesSent, 8);
  assert.equal(queue.empty, true);
  assert.equal(queue.beginWrite(), undefined);
});

Deno.test("OutputQueue drops the oldest and keeps the newest when it is full of packets", () => {
  const { queue, counters } = queueOf({ queuePackets: 3 });
  for (let n = 1; n <= 10; n++) push(queue, numbered(n));
  assert.deepEqual(read(queue.beginWrite()), [8, 9, 10]);
  assert.equal(counters.droppedTotal(DropReason.QueueHead), 7);
});

Deno.test("OutputQueue drops the oldest when it is full of bytes", () => {
  const { queue, counters } = queueOf({ queueBytes: 40_000 });
  for (let n = 1; n <= 100; n++) push(queue, numbered(n, 1000 - 37));
  assert.deepEqual(read(queue.beginWrite()), Array.from({ length: 40 }, (_, i) => 61 + i));
  assert.equal(counters.droppedTotal(DropReason.QueueHead), 60);
});

Deno.test("OutputQueue holds 32 packets of the largest size, and the newest of more", () => {
  const { queue, counters } = queueOf();
  for (let n = 1; n <= 33; n++) {
    assert.equal(counters.droppedTotal(), 0);
    push(queue, numbered(n, MAX_PACKET));
  }
  // 33 are bounded by bytes; so the oldest goes, and 32 are not.
  assert.deepEqual(read(queue.beginWrite()), Array.from({ length: 32 }, (_, i) => 2 + i));
});

Deno.test("OutputQueue holds less when all queues together hold much", () => {
  const all = { ...DEFAULT_LIMITS };
  const pools = new Pools(all);
  const fill = () => {
    const queue = new OutputQueue(all, pools, new Counters());
    for (let n = 0; n < 32; n++) push(queue, numbered(n, MAX_PACKET));
    return queue;
  };
  const queues: OutputQueue[] = [];
  for (let i = 0; i < 600; i++) queues.push(fill());
  assert.equal(queues[0]!.packets, 32);
  assert.equal(queues[60]!.packets, 3, "within the bytes of a queue");
  assert.equal(queues[599]!.packets, 0, "not even one");
  for (const queue of queues) queue.clear();
  assert.equal(fill().packets, 32, "again as at first");
});

Deno.test("OutputQueue keeps disco packets in a space of their own when it drops others", () => {
  const { queue, counters } = queueOf({ queuePackets: 40 });
  for (let n = 1; n <= 20; n++) push(queue, disco(n));
  queue.pushControl(control(1));
  for (let n = 21; n <= 50; n++) push(queue, disco(n));
  for (let n = 101; n <= 160; n++) push(queue, numbered(n));
  // Of the disco packets the newest 32, in order; of the others the newest 40.
  assert.deepEqual(read(queue.beginWrite()), [
    19,
    20,
    "c1",
    ...Array.from({ length: 30 }, (_, i) => 21 + i),
    ...Array.from({ length: 40 }, (_, i) => 121 + i),
  ]);
  assert.equal(counters.dropped[2 * DropReason.QueueHead], 18);
  assert.equal(counters.dropped[2 * DropReason.QueueHead + 1], 20);
  queue.endWrite(true);
  assert.equal(counters.packetsSent, 72);
});

Deno.test("OutputQueue drops old disco packets like any other", () => {
  const { queue, counters } = queueOf({ queuePackets: 2, queueMs: 1000 });
  push(queue, disco(1));
  queue.pushControl(control(1));
  for (let n = 2; n <= 5; n++) push(queue, numbered(n));
  queue.expire(1000);
  push(queue, numbered(6));
  queue.expire(2000);
  assert.deepEqual(read(queue.beginWrite()), ["c1", 6]);
  assert.equal(counters.dropped[2 * DropReason.QueueAge], 1);
});

Deno.test("OutputQueue keeps control frames when the packets around them are dropped", () => {
  const { queue } = queueOf({ queuePackets: 2 });
  push(queue, numbered(1));
  queue.pushControl(control(1));
  push(queue, numbered(2));
  queue.pushControl(control(2));
  for (let n = 3; n <= 6; n++) push(queue, numbered(n));
  assert.deepEqual(read(queue.beginWrite()), ["c1", "c2", 5, 6]);
});

Deno.test("OutputQueue refuses control frames beyond their own limit", () => {
  const { queue } = queueOf({ controlBytes: 39 });
  assert.deepEqual([1, 2, 3, 4].map((n) => queue.pushControl(control(n))), [
    true,
    true,
    true,
    false,
  ]);
  push(queue, numbered(1));
  assert.deepEqual(read(queue.beginWrite()), ["c1", "c2", "c3", 1]);
  assert.equal(queue.pushControl(control(5)), false, "what is being written counts too");
  queue.endWrite(true);
  assert.equal(queue.pushControl(control(5)), true);
});

Deno.test("OutputQueue leaves the batch being written alone while it gathers and drops", () => {
  const { queue } = queueOf({ queuePackets: 2 });
  push(queue, numbered(1));
  const batch = queue.beginWrite();
  for (let n = 2; n <= 9; n++) push(queue, numbered(n));
  assert.equal(queue.beginWrite(), undefined, "one write at a time");
  assert.deepEqual(read(batch), [1]);
  queue.endWrite(true);
  assert.deepEqual(read(queue.beginWrite()), [8, 9]);
});

Deno.test("OutputQueue drops packets that have waited too long, and only those", () => {
  const { queue, counters } = queueOf({ queueMs: 1000 });
  push(queue, numbered(1));
  queue.pushControl(control(1));
  queue.expire(1000);
  push(queue, numbered(2));
  queue.expire(1900);
  assert.equal(queue.packets, 2);
  queue.expire(2100);
  assert.equal(counters.droppedTotal(DropReason.QueueAge), 1);
  assert.deepEqual(read(queue.beginWrite()), ["c1", 2]);
});

Deno.test("OutputQueue counts what a failed write and an ended client lose", () => {
  const { queue, counters } = queueOf();
  push(queue, numbered(1, 100));
  queue.beginWrite();
  push(queue, numbered(2, 50));
  queue.endWrite(false);
  queue.clear();
  assert.equal(counters.droppedTotal(DropReason.WriteError), 1);
  assert.equal(counters.droppedTotal(DropReason.GoneDisconnected), 1);
  assert.equal(counters.droppedBytes.reduce((a, b) => a + b), 150);
  assert.equal(counters.packetsSent, 0);
});

Deno.test("OutputQueue agrees with a plain list for any sequence of operations", () => {
  const operation = fc.oneof(
    { weight: 60, arbitrary: fc.nat(3000).map((size) => ({ kind: "packet" as const, size })) },
    { weight: 1, arbitrary: fc.constant({ kind: "control" as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: "begin" as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: "end" as const }) },
  );
  fc.assert(fc.property(fc.array(operation, { maxLength: 400, size: "max" }), (operations) => {
    const limits = { queuePackets: 48, queueBytes: 50_000, controlBytes: 200 };
    const { queue } = queueOf(limits);
    let model: { id: number | string; bytes: number }[] = [];
    let writing = 0;
    let next = 0;
    for (const op of operations) {
      if (op.kind === "packet") {
        const frame = numbered(++next, op.size);
        push(queue, frame);
        model.push({ id: next, bytes: frame.length });
        for (;;) {
          const packets = model.filter((item) => typeof item.id === "number");
          const bytes = packets.reduce((sum, item) => sum + item.bytes, 0);
          if (
            packets.length <= limits.queuePackets &&
            (bytes <= limits.queueBytes || packets.length <= 32)
          ) break;
          model = model.filter((item) => item !== packets[0]);
        }
      } else if (op.kind === "control") {
        const waiting = model.filter((item) => typeof item.id === "string").length * 13;
        const accepted = queue.pushControl(control(++next % 256));
        assert.equal(accepted, waiting + writing + 13 <= limits.controlBytes);
        if (accepted) model.push({ id: `c${next % 256}`, bytes: 13 });
      } else if (op.kind === "begin" && !queue.writing) {
        assert.deepEqual(read(queue.beginWrite()), model.map((item) => item.id));
        writing = model.filter((item) => typeof item.id === "string").length * 13;
        model = [];
      } else if (op.kind === "end") {
        queue.endWrite(true);
        writing = 0;
      }
    }
  }));
});
