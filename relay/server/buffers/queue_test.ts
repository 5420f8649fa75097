import assert from "node:assert/strict";
import fc from "fast-check";
import { encodePong, encodeRecvPacket, FrameReader, FrameType } from "../../derp/mod.ts";
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
      seen.push(new DataView(frame.payload.buffer, frame.payload.byteOffset + 32).getUint32(0));
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
  const { queue, counters } = queueOf({ queueBytes: 4000 });
  for (let n = 1; n <= 100; n++) push(queue, numbered(n, 1000 - 37));
  assert.deepEqual(read(queue.beginWrite()), [97, 98, 99, 100]);
  assert.equal(counters.droppedTotal(DropReason.QueueHead), 96);
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
    { weight: 6, arbitrary: fc.nat(3000).map((size) => ({ kind: "packet" as const, size })) },
    { weight: 1, arbitrary: fc.constant({ kind: "control" as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: "begin" as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: "end" as const }) },
  );
  fc.assert(fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
    const limits = { queuePackets: 8, queueBytes: 12_000, controlBytes: 200 };
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
          if (packets.length <= limits.queuePackets && bytes <= limits.queueBytes) break;
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
