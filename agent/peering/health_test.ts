import assert from "node:assert/strict";
import { assess, followTraffic, isSuspect } from "./health.ts";
import {
  HANDSHAKE_LIFE,
  NEVER_HEALTHY_LIMIT,
  type Observed,
  type PeerHistory,
  WAS_HEALTHY_LIMIT,
} from "./mod.ts";

const T = 1_000_000_000;
const history = (more: Partial<PeerHistory> = {}): PeerHistory => ({
  fingerprint: "",
  online: true,
  method: "reflexive",
  appliedAt: T,
  failed: [],
  probesFailed: 0,
  slot: 0,
  ...more,
});
const seen = (lastHandshake: number | undefined, rxBytes = 0, txBytes = 0): Observed => ({
  rxBytes,
  txBytes,
  ...(lastHandshake === undefined ? {} : { lastHandshake }),
});

Deno.test("assess gives up a method that was never healthy after 30 s", () => {
  assert.equal(assess(history(), undefined, T + NEVER_HEALTHY_LIMIT - 1).failed, false);
  assert.equal(assess(history(), undefined, T + NEVER_HEALTHY_LIMIT).failed, true);
  assert.equal(NEVER_HEALTHY_LIMIT, 30_000);
});

Deno.test("assess gives up a method 180 s after it was last healthy", () => {
  const h = history({ lastHealthyAt: T + 50_000 });
  const last = T + 50_000 + WAS_HEALTHY_LIMIT;
  assert.equal(assess(h, undefined, last - 1).failed, false);
  assert.equal(assess(h, undefined, last).failed, true);
  assert.equal(WAS_HEALTHY_LIMIT, 180_000);
});

Deno.test("assess counts a handshake as a sign of life for 210 s", () => {
  assert.equal(assess(history(), seen(T + 1), T + 1 + HANDSHAKE_LIFE).healthy, true);
  assert.equal(assess(history(), seen(T + 1), T + 2 + HANDSHAKE_LIFE).healthy, false);
  assert.equal(HANDSHAKE_LIFE, 210_000);
});

Deno.test("assess wants a sign of life after the method was applied", () => {
  const now = T + 5000;
  assert.equal(assess(history(), seen(T - 1, 10), now).healthy, false);
  assert.equal(assess(history({ rxBase: 10 }), seen(T - 1, 10), now).healthy, false);
  assert.equal(assess(history({ rxBase: 10 }), seen(T - 1, 11), now).healthy, true);
});

Deno.test("isSuspect looks at bytes both ways and at the last handshake", () => {
  let traffic = followTraffic(undefined, seen(T, 100, 100), T);
  const later = (ms: number, rx: number, tx: number, handshake = T) => {
    const observed = seen(handshake, rx, tx);
    return isSuspect(followTraffic(traffic, observed, T + ms), observed, T + ms);
  };
  assert.equal(later(14_000, 100, 5000), false);
  assert.equal(later(15_000, 100, 5000), true);
  assert.equal(later(15_000, 101, 5000), false);
  assert.equal(later(15_000, 100, 132), false); // one keepalive
  assert.equal(later(15_000, 100, 5000, T + 10_000), false); // renewed meanwhile
  assert.equal(later(66_000, 100, 100), true); // keepalives of the peer are missing
  traffic = followTraffic(traffic, seen(T, 0, 0), T + 1000); // the device was opened again
  assert.deepEqual(traffic, { rx: 0, tx: 0, rxAt: T + 1000, txAtRx: 0 });
});
