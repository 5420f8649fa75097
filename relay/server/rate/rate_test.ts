import assert from "node:assert/strict";
import fc from "fast-check";
import { Counters } from "../counters.ts";
import { Bucket, Pace } from "./mod.ts";

Deno.test("Bucket lets a burst pass and then asks for the time its debt takes", () => {
  const bucket = new Bucket({ bytesPerSecond: 1000, burst: 5000 }, 0);
  assert.equal(bucket.take(5000, 0), 0);
  assert.equal(bucket.take(1000, 0), 1000);
  assert.equal(bucket.take(0, 1000), 0, "paid after the wait");
  assert.equal(bucket.take(500, 1000), 500);
  assert.equal(bucket.take(0, 1250), 250, "half paid");
});

Deno.test("Bucket holds no more than its burst however long nothing comes", () => {
  const bucket = new Bucket({ bytesPerSecond: 1000, burst: 2000 }, 0);
  assert.equal(bucket.take(2000, 0), 0);
  assert.equal(bucket.take(2001, 1e9), 1);
});

Deno.test("Bucket takes a clock that steps back for one that stands still", () => {
  const bucket = new Bucket({ bytesPerSecond: 1000, burst: 100 }, 1000);
  assert.equal(bucket.take(200, 0), 100);
  assert.equal(bucket.take(0, 50), 50);
});

Deno.test("Bucket never lets more pass than its rate and one burst", () => {
  const step = fc.record({ bytes: fc.nat(70_000), idle: fc.nat(50) });
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 1e6 }),
    fc.integer({ min: 1, max: 1e5 }),
    fc.array(step, { minLength: 1, maxLength: 50 }),
    (bytesPerSecond, burst, steps) => {
      const bucket = new Bucket({ bytesPerSecond, burst }, 0);
      let [now, passed] = [0, 0];
      for (const { bytes, idle } of steps) {
        now += idle;
        passed += bytes;
        now += bucket.take(bytes, now); // The reader waits as asked.
        assert(passed <= burst + now * bytesPerSecond / 1000 + 1e-3 * passed + 1);
      }
    },
  ));
});

Deno.test("Pace counts a wait, and ends it when the connection does", async () => {
  const counters = new Counters();
  const pace = new Pace({ bytesPerSecond: 1, burst: 100 }, counters);
  assert.equal(pace.read(100), undefined, "within the burst at once");
  const wait = pace.read(1_000_000);
  assert(wait !== undefined);
  assert.equal(counters.rateLimitWaits, 1);
  pace.end();
  await wait;
  assert.equal(pace.read(1_000_000), undefined, "never again");
});

Deno.test("Pace makes a reader wait about as long as its rate says", async () => {
  const pace = new Pace({ bytesPerSecond: 100_000, burst: 1000 }, new Counters());
  const started = performance.now();
  for (let i = 0; i < 5; i++) await pace.read(2000);
  const took = performance.now() - started;
  assert(took >= 85, `${took} ms for 9000 bytes too many at 100 a millisecond`);
});
