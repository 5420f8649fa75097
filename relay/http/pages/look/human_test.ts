import assert from "node:assert/strict";
import { bytes, count, duration, latency, moment, quantile, roughly, shortKeyOf } from "./human.ts";

Deno.test("human numbers read as people write them", () => {
  assert.equal(count(1234567.4), "1,234,567");
  assert.deepEqual([0, 999, 1000, 99_960, 1.5e9, 2e18].map(bytes), [
    "0 B",
    "999 B",
    "1.0 kB",
    "100 kB",
    "1.5 GB",
    "2000 PB",
  ]);
  assert.deepEqual([-5, 0, 999, 61_000, 3_600_000, 90_061_000].map(duration), [
    "0 s",
    "0 s",
    "0 s",
    "1 min 1 s",
    "1 h",
    "1 d 1 h",
  ]);
  assert.deepEqual([0.0005, 0.0123, 1.5, Infinity].map(latency), [
    "500 µs",
    "12 ms",
    "1.5 s",
    "longer",
  ]);
  assert.equal(moment(Date.UTC(2026, 10, 23, 1, 19)), "2026-11-23 01:19 UTC");
  assert.equal(moment(NaN), "unknown");
});

Deno.test("roughly hides the exact number", () => {
  assert.deepEqual([0, 1, 9, 10, 44, 99, 149, 1234].map(roughly), [
    "none",
    "fewer than 10",
    "fewer than 10",
    "about 10",
    "about 40",
    "about 100",
    "about 150",
    "about 1,200",
  ]);
});

Deno.test("quantile finds the class of a value", () => {
  const histogram = { bounds: [1, 2, 5], counts: [50, 40, 9, 1], sum: 0 };
  assert.deepEqual([0.5, 0.51, 0.99, 1].map((part) => quantile(histogram, part)), [
    1,
    2,
    5,
    Infinity,
  ]);
  assert.equal(quantile({ bounds: [1], counts: [0, 0], sum: 0 }, 0.5), undefined);
});

Deno.test("shortKeyOf shows a key as logs do, and bounds what is none", () => {
  assert.equal(shortKeyOf("ab".repeat(32)), "[q6urq]");
  assert.equal(shortKeyOf("[abcde]"), "[abcde]");
  assert.equal(shortKeyOf("x".repeat(1000)).length, 64);
});
