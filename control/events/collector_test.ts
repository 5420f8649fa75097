import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { Collector } from "./collector.ts";

Deno.test("garbage is collected as often as streams grow by a half, not when they come and go", async () => {
  const at: number[] = [];
  let open = 0;
  const collector = new Collector(() => at.push(open), 60_000);
  const become = async (count: number) => {
    while (open < count) {
      open++;
      collector.opened();
      await setImmediate();
    }
    while (open > count) {
      open--;
      collector.closed();
    }
  };
  await become(2000);
  assert.deepEqual(at.splice(0), [500, 1000, 1500]);
  for (let i = 0; i < 3; i++) {
    await become(1600);
    await become(2000);
  }
  assert.deepEqual(at, []);
  await become(0);
  await become(510);
  assert.deepEqual(at, [500]);
  collector.close();
});

Deno.test("garbage is collected once streams that were opened, or told of changes, have settled", async () => {
  let collected = Promise.withResolvers<void>();
  let count = 0;
  const collector = new Collector(() => {
    count++;
    collected.resolve();
  });
  for (let i = 0; i < 50; i++) collector.opened();
  assert.equal(count, 0);
  await collected.promise;
  collected = Promise.withResolvers();
  for (let i = 0; i < 2000; i++) collector.wrote();
  assert.equal(count, 1);
  await collected.promise;
  assert.equal(count, 2);
  // Neither is worth one: no timer is left behind.
  for (let i = 0; i < 49; i++) collector.opened();
  for (let i = 0; i < 1999; i++) collector.wrote();
});

Deno.test("a collection frees what nobody holds any more", async () => {
  const collected = Promise.withResolvers<void>();
  const registry = new FinalizationRegistry(() => collected.resolve());
  (() => registry.register({}, undefined))();
  const collector = new Collector();
  for (let i = 0; i < 50; i++) collector.opened();
  const alive = setTimeout(() => {}, 60_000);
  await collected.promise;
  clearTimeout(alive);
});
