import { equal } from "node:assert/strict";
import { parseDuration } from "./duration.ts";

Deno.test("parseDuration reads what Go writes and takes", () => {
  const cases: [string, number | undefined][] = [
    ["10m0s", 600_000],
    ["15s", 15_000],
    ["1h2m3.5s", 3_723_500],
    ["250ms", 250],
    [".5s", 500],
    ["1.s", 1000],
    ["0", 0],
    ["0s", 0],
    ["+3s", 3000],
    ["-1s", -1000],
    ["1500us", 1.5],
    ["1500µs", 1.5],
    ["2000000ns", 2],
    ["", undefined],
    ["5", undefined],
    ["s", undefined],
    ["5 s", undefined],
    ["5sec", undefined],
    ["1d", undefined],
    ["1m x", undefined],
    ["--1s", undefined],
    ["9".repeat(60) + "h", undefined],
    ["1s".repeat(40), undefined],
  ];
  for (const [text, ms] of cases) equal(parseDuration(text), ms, text);
});
