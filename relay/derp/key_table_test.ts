import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { DerpError, KeyTable } from "./mod.ts";

/** Keys that differ late, early, or share their first eight bytes. */
const key = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })).map(
  ([first, last]) => {
    const bytes = new Uint8Array(32);
    bytes[0] = first;
    bytes[31] = last;
    return bytes;
  },
);

Deno.test("a key table agrees with a map when keys come, change and go", () => {
  const command = fc.tuple(fc.constantFrom("set", "delete", "get"), key, fc.nat());
  fc.assert(fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
    const table = new KeyTable<number>();
    const model = new Map<string, number>();
    for (const [what, bytes, value] of commands) {
      const name = bytes.toHex();
      if (what === "set") {
        const own = bytes.slice();
        table.set(own, value);
        own.fill(0xff); // the table must have its own copy
        model.set(name, value);
      } else if (what === "delete") {
        equal(table.delete(bytes), model.delete(name));
      }
      equal(table.get(bytes), model.get(name));
      equal(table.get(bytes), model.get(name), "the second time comes from the last hit");
      equal(table.size, model.size);
    }
    const order = (a: [string, number], b: [string, number]) => a[0] < b[0] ? -1 : 1;
    const entries = [...table.entries()].map(([k, v]): [string, number] => [k.toHex(), v]);
    deepEqual(entries.sort(order), [...model].sort(order));
    deepEqual([...table.values()].sort(), [...model.values()].sort());
    table.clear();
    equal(table.size, 0);
    equal([...table.values()].length, 0);
  }));
});

Deno.test("a key table reads the key in place when it lies inside a buffer", () => {
  const table = new KeyTable<string>();
  const frame = crypto.getRandomValues(new Uint8Array(100));
  table.set(frame.slice(5, 37), "here");
  equal(table.get(frame, 5), "here");
  equal(table.get(frame, 6), undefined);
  equal(table.get(frame, 80), undefined, "past the end");
  equal(table.get(frame.subarray(5, 36)), undefined, "one byte short");
});

Deno.test("a key table refuses a key when it is not 32 bytes", () => {
  throws(() => new KeyTable().set(new Uint8Array(31), 1), DerpError);
  equal(new KeyTable().delete(new Uint8Array(31)), false);
});

Deno.test("a key table allocates nothing when it looks up", () => {
  const table = new KeyTable<number>();
  const count = 256;
  const frames = crypto.getRandomValues(new Uint8Array(count * 32));
  for (let i = 0; i < count; i++) table.set(frames.slice(32 * i, 32 * i + 32), i);
  const look = (rounds: number): number => {
    let sum = 0;
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < count; i++) sum += table.get(frames, 32 * i)! === i ? 1 : 0;
    }
    return sum;
  };
  look(200); // let the compiler settle
  const before = Deno.memoryUsage().heapUsed;
  equal(look(1000), 1000 * count);
  const perLookup = (Deno.memoryUsage().heapUsed - before) / (1000 * count);
  ok(perLookup < 1, `${perLookup.toFixed(2)} bytes per lookup`);
});

Deno.test("KeyTable copies a key that it sets and keeps one that it adopts", () => {
  const table = new KeyTable<number>();
  const [copied, kept] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  table.set(copied, 1);
  table.adopt(kept, 2);
  copied.fill(9);
  const keys = [...table.entries()].map(([key]) => key);
  ok(keys.some((key) => key[0] === 1) && keys.includes(kept));
  throws(() => table.adopt(new Uint8Array(31), 0), DerpError);
});
