import assert from "node:assert/strict";
import fc from "fast-check";
import { BUSY_READ, DEFAULT_LIMITS, IDLE_READ, SMALL_READ, TLS_RECORD } from "../limits.ts";
import { Input } from "./input.ts";
import { Pools } from "./pool.ts";

/** Reads `n` bytes, in as many reads as the room asks for, each at most a record. */
function receive(input: Input, n: number): void {
  const room = input.room();
  assert(room.length > 0);
  input.filled(Math.min(n, room.length, TLS_RECORD));
  input.start = input.end; // All of it was whole frames.
}

Deno.test("Input grows with traffic and shrinks to almost nothing after it", () => {
  const pools = new Pools(DEFAULT_LIMITS);
  const input = new Input(pools);
  assert.equal(input.room().length, IDLE_READ);
  for (let i = 0; i < 10; i++) receive(input, 100);
  assert.equal(input.room().length, IDLE_READ, "small frames need no more");
  receive(input, 1489);
  for (let i = 0; i < 10; i++) receive(input, 1489);
  assert.equal(input.room().length, SMALL_READ, "full-size packets");
  receive(input, TLS_RECORD);
  receive(input, TLS_RECORD);
  assert.equal(input.room().length, BUSY_READ, "whole records");
  for (let i = 0; i < 12; i++) receive(input, 100);
  assert.equal(input.room().length, IDLE_READ);
  assert.equal(pools.busyRead.free, 1);
  assert(pools.smallRead.free >= 1);
});

Deno.test("Input loses and invents no byte, whatever is read and consumed", () => {
  const step = fc.record({ read: fc.integer({ min: 1, max: TLS_RECORD }), leave: fc.nat(65_573) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const input = new Input(new Pools(DEFAULT_LIMITS));
      let written = 0;
      let consumed = 0;
      for (const { read, leave } of steps) {
        const room = input.room();
        const n = Math.min(read, room.length);
        for (let i = 0; i < n; i++) room[i] = written++ % 251;
        input.filled(n);
        const keep = Math.min(leave, input.end - input.start);
        while (input.end - input.start > keep) {
          if (input.buffer[input.start++] !== consumed++ % 251) assert.fail(`byte ${consumed}`);
        }
      }
      for (let at = input.start; at < input.end; at++) {
        if (input.buffer[at] !== consumed++ % 251) assert.fail(`byte ${consumed}`);
      }
      assert.equal(consumed, written);
    }),
    { numRuns: 50 },
  );
});
