import { deepEqual, equal } from "node:assert/strict";
import { throttled, type ThrottleTimes } from "./client/throttle.ts";

/** A throttled function in a time of its own; `takes` is how long a run takes. */
function bench(times: ThrottleTimes, takes = 0) {
  const began: number[] = [];
  let now = 0, under = 0, most = 0;
  let timers: { at: number; act: () => void }[] = [];
  const later = (act: () => void, ms: number) => void timers.push({ at: now + ms, act });
  const call = throttled(
    () => {
      began.push(now);
      most = Math.max(most, ++under);
      return new Promise<void>((resolve, reject) =>
        later(() => {
          under--;
          // What fails is no reason to stop.
          if (began.length % 2 === 0) reject(new Error("no"));
          else resolve();
        }, takes)
      );
    },
    times,
    later,
  );
  const forward = async (ms: number) => {
    for (const end = now + ms;;) {
      const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) return void (now = end);
      timers = timers.filter((one) => one !== next);
      now = next.at;
      next.act();
      for (let i = 0; i < 20; i++) await Promise.resolve();
    }
  };
  return { call, forward, began, most: () => most };
}

Deno.test("throttled runs during a steady stream of calls, as often as it may, and after its end", async () => {
  const { call, forward, began } = bench({ settle: 100, every: 1_000 });
  for (let i = 0; i < 100; i++) {
    call();
    await forward(30);
  }
  await forward(10_000);
  // The last call was at 2970.
  deepEqual(began, [100, 1_100, 2_100, 3_100]);
  call();
  await forward(10_000);
  deepEqual(began.slice(4), [13_100]);
});

Deno.test("throttled runs never twice at the same time, so that an old answer replaces no newer one", async () => {
  const { call, forward, began, most } = bench({ settle: 0, every: 10 }, 500);
  for (let i = 0; i < 100; i++) {
    call();
    await forward(20);
  }
  await forward(10_000);
  equal(most(), 1);
  deepEqual(began, [0, 500, 1_000, 1_500, 2_000]);
});
