import assert from "node:assert/strict";
import { Liveness } from "./liveness.ts";

/** A relay that was heard and pinged at `at`, all answered. */
function settled(at: number): Liveness {
  const live = new Liveness();
  for (let ago = 2_000; ago >= 0; ago -= 1_000) {
    live.received(at - ago - 2);
    assert.equal(live.check(at - ago - 1), "ping");
    live.pong(live.ping(at - ago - 1), at - ago);
    live.received(at - ago);
  }
  return live;
}

function run(live: Liveness, from: number, to: number): [number, string] | undefined {
  for (let now = from; now <= to; now += 500) {
    const verdict = live.check(now);
    if (verdict !== undefined) return [now, verdict];
  }
  return undefined;
}

Deno.test("liveness asks for a ping every 10 s when all is quiet", () => {
  const live = settled(100_000);
  assert.deepEqual(run(live, 100_000, 200_000), [110_000, "ping"]);
});

Deno.test("liveness pings soon when packets go out and nothing comes", () => {
  const live = settled(100_000);
  live.sent(101_000);
  assert.deepEqual(run(live, 100_000, 200_000), [101_500, "ping"]);
});

Deno.test("liveness tells how long an answer is waited for", () => {
  const live = settled(100_000);
  assert.equal(live.silentMs(109_000), 0);
  const data = live.ping(110_000);
  assert.equal(live.silentMs(111_500), 1_500);
  live.received(111_600);
  assert.equal(live.silentMs(112_000), 0);
  live.pong(data, 111_600);
  assert.equal(live.averageMs, 1 + (1_600 - 1) / 4);
  assert.equal(live.pongs, 4);
});

Deno.test("liveness pings each second until the round trip is known", () => {
  const live = new Liveness();
  live.received(1_000);
  let pings = 0;
  for (let now = 1_000; now <= 5_000; now += 500) {
    if (live.check(now) !== "ping") continue;
    pings++;
    live.pong(live.ping(now), now + 1);
    live.received(now + 1);
  }
  assert.equal(pings, 3);
});

Deno.test("liveness gives up when a ping has no answer within 5 s", () => {
  const live = settled(100_000);
  live.sent(101_000);
  run(live, 100_000, 105_500);
  live.ping(105_500);
  const [at, why] = run(live, 106_000, 200_000)!;
  assert.equal(at, 111_000);
  assert.match(why, /no answer to a ping/);
});

Deno.test("liveness counts anything received after a ping as an answer", () => {
  const live = settled(100_000);
  live.sent(101_000);
  run(live, 100_000, 105_500);
  live.ping(105_500);
  live.received(107_000);
  assert.deepEqual(run(live, 107_500, 200_000), [115_500, "ping"]);
});

Deno.test("liveness measures the round trip by its own ping only", () => {
  const live = new Liveness();
  live.received(1);
  const data = live.ping(1000);
  live.pong(new Uint8Array(8), 1005);
  assert.equal(live.rttMs, undefined);
  live.pong(Uint8Array.of(...data, 9, 9), 1012.346);
  assert.equal(live.rttMs, 12.35);
});

Deno.test("liveness gives up when a write does not end", () => {
  const live = settled(100_000);
  live.writeStarted(100_500);
  const end = run(live, 100_500, 200_000)!;
  assert.deepEqual(end, [106_000, "it takes no data"]);
  const other = settled(100_000);
  other.writeStarted(100_500);
  other.writeEnded();
  assert.deepEqual(run(other, 100_500, 200_000), [110_000, "ping"]);
});

Deno.test("liveness asks before it judges when the host was asleep", () => {
  const live = settled(100_000);
  live.sent(101_000);
  run(live, 100_000, 105_500);
  live.ping(105_500);
  live.check(106_000);
  assert.equal(live.check(900_000), undefined);
  assert.equal(run(live, 900_500, 904_500), undefined);
  assert.match(run(live, 905_000, 910_000)![1], /no answer/);
});
