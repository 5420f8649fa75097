import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeSendPacket } from "../../relay/derp/mod.ts";
import { FRAME_OVERHEAD, SendQueue, VIEW_SLACK } from "./send_queue.ts";

const key = new Uint8Array(32).fill(9);

function wire(queue: SendQueue): Uint8Array {
  const parts = [...queue.segments()];
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

Deno.test("send queue holds the very bytes of SendPacket frames", () => {
  const queue = new SendQueue(4096, 16);
  const packet = crypto.getRandomValues(new Uint8Array(148));
  assert.equal(queue.push(key, packet, 148, 0), 0);
  assert.deepEqual(wire(queue), encodeSendPacket(key, packet));
});

Deno.test("send queue refuses a packet that can never fit and keeps the others", () => {
  const queue = new SendQueue(100, 16);
  assert.equal(queue.push(key, new Uint8Array(63), 63, 0), 0);
  assert.equal(queue.push(key, new Uint8Array(64), 64, 0), -1);
  assert.equal(queue.packets, 1);
});

Deno.test("send queue drops what is too old and what is too much", () => {
  const queue = new SendQueue(4096, 8);
  for (let i = 0; i < 8; i++) queue.push(key, new Uint8Array([i]), 1, i);
  assert.equal(queue.dropOlder(3), 3);
  assert.equal(queue.trim(2), 3);
  assert.deepEqual([...queue.segments()][0]!.at(-1), 7);
  assert.equal(queue.push(key, new Uint8Array([8]), 1, 8, 2), 1);
  assert.equal(queue.packets, 2);
});

Deno.test("send queue never changes a queued packet when its source is used again", () => {
  const queue = new SendQueue(1 << 16, 64);
  const source = new Uint8Array(1500);
  for (let i = 0; i < 20; i++) {
    source.fill(i);
    queue.push(key, source, 1400 + i, 0);
  }
  source.fill(255);
  const bytes = wire(queue);
  let at = 0;
  for (let i = 0; i < 20; i++) {
    at += FRAME_OVERHEAD;
    assert(bytes.subarray(at, at + 1400 + i).every((b) => b === i), `packet ${i}`);
    at += 1400 + i;
  }
});

Deno.test("send queue keeps the newest packets in order for any sequence of steps", () => {
  const step = fc.record({
    length: fc.integer({ min: 0, max: 300 }),
    slack: fc.integer({ min: 0, max: VIEW_SLACK - 1 }),
    kind: fc.constantFrom("push", "push", "push", "push", "older", "trim", "clear"),
    amount: fc.integer({ min: 0, max: 40 }),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
    const queue = new SendQueue(1500, 20);
    let model: { time: number; frame: Uint8Array }[] = [];
    let now = 0;
    for (const { length, slack, kind, amount } of steps) {
      now++;
      if (kind === "push") {
        const data = crypto.getRandomValues(new Uint8Array(length + slack));
        const dropped = queue.push(key, data, length, now);
        model.push({ time: now, frame: encodeSendPacket(key, data.subarray(0, length)) });
        assert(dropped >= 0 && dropped < model.length);
        model = model.slice(dropped);
        // Room is lost only behind the break and to the slack.
        if (dropped > 0 && model.length < 20) {
          const held = model.reduce((n, m) => n + m.frame.length, 0);
          assert(held > 1500 - 2 * (337 + VIEW_SLACK) - 337, `dropped at ${held} bytes`);
        }
      } else if (kind === "older") {
        assert.equal(
          queue.dropOlder(now - amount),
          model.filter((m) => m.time < now - amount).length,
        );
        model = model.filter((m) => m.time >= now - amount);
      } else if (kind === "trim") {
        assert.equal(queue.trim(amount), Math.max(0, model.length - amount));
        model = amount === 0 ? [] : model.slice(-amount);
      } else {
        queue.clear();
        model = [];
      }
      assert.equal(queue.packets, model.length);
      assert.deepEqual(
        Array.from(wire(queue)),
        model.flatMap((m) => Array.from(m.frame)),
      );
    }
  }));
});
