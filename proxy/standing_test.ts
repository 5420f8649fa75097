import assert from "node:assert/strict";
import { Standing } from "./standing.ts";

Deno.test("a queue stands when it is long on average, until it has a quarter of that", () => {
  const queue = new Standing(1_000);
  let now = 5_000;
  const spend = (ms: number, length: number) => {
    for (const end = now + ms; now < end; now++) queue.seen(length, now);
    return queue.strict;
  };
  assert.equal(spend(1_000, 900), false);
  assert.equal(spend(30, 0), false);
  assert.equal(spend(300, 1_200), true);
  assert.equal(spend(1_000, 300), true);
  assert.equal(spend(300, 200), false);
});

Deno.test("a queue that is long for a moment does not stand", () => {
  const queue = new Standing(1_000);
  for (let now = 0; now < 2_000; now++) {
    queue.seen(now % 200 === 0 ? 8_000 : 0, now);
    assert.equal(queue.strict, false, `after ${now} ms`);
  }
});

Deno.test("a queue that nobody looked at had nothing in it", () => {
  const queue = new Standing(1_000);
  queue.seen(8_000, 0);
  for (let now = 1_000; now < 20_000; now += 200) {
    queue.seen(8_000, now);
    assert.equal(queue.strict, false, `after ${now} ms`);
  }
});

Deno.test("a queue that is emptied in turns stands all the same", () => {
  const queue = new Standing(1_000);
  for (let now = 0; now < 500; now++) queue.seen(now % 10 === 0 ? 0 : 3_000, now);
  assert.equal(queue.strict, true);
});
