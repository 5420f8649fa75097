import assert from "node:assert/strict";
import { assess, followTraffic, isSuspect, SUSPECT_AFTER } from "./health.ts";
import {
  HANDSHAKE_LIFE,
  NEVER_HEALTHY_LIMIT,
  type Observed,
  type PeerHistory,
  WAS_HEALTHY_LIMIT,
} from "../mod.ts";

const T = 1_000_000_000;
const history = (more: Partial<PeerHistory> = {}): PeerHistory => ({
  fingerprint: "",
  online: true,
  method: "reflexive",
  since: T,
  appliedAt: T,
  failed: [],
  awaitedAt: 0,
  probesFailed: 0,
  slot: 0,
  events: [],
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

/** Passes of two seconds each with the counters of a plan: `[rx, tx]` at each. */
function suspectAt(counters: [rx: number, tx: number][], handshakeAt = 0): number | undefined {
  let traffic = followTraffic(undefined, seen(T, 0, 0), T);
  for (const [i, [rx, tx]] of counters.entries()) {
    const now = T + (i + 1) * 2000, observed = seen(T + handshakeAt, rx, tx);
    traffic = followTraffic(traffic, observed, now);
    if (isSuspect(traffic, observed, now)) return now - T;
  }
  return undefined;
}

const passes = (n: number, counters: (i: number) => [number, number]) =>
  Array.from({ length: n }, (_, i) => counters(i));

Deno.test("isSuspect within 14 s of the first bytes that should have been answered", () => {
  assert.equal(suspectAt(passes(30, (i) => [0, (i + 1) * 1000])), 14_000);
  // One initiation is enough: a peer that is there answers it at once.
  assert.equal(suspectAt(passes(30, () => [0, 148])), 14_000);
  // Not while something comes, however little.
  assert.equal(suspectAt(passes(100, (i) => [i, i * 1000])), undefined);
  // Nor when the handshake was renewed meanwhile.
  assert.equal(suspectAt(passes(9, () => [0, 148]), 10_000), undefined);
  assert.equal(SUSPECT_AFTER, 12_000);
});

Deno.test("isSuspect counts from the first bytes, not from when the peer was heard last", () => {
  // Idle for 40 s but for keepalives, then one-way traffic: the peer has 10 s to say something.
  const idle = passes(20, (i) => [0, Math.floor(i / 10) * 32]);
  assert.equal(suspectAt([...idle, ...passes(5, (i) => [0, 64 + (i + 1) * 50_000])]), undefined);
  assert.equal(suspectAt([...idle, ...passes(9, (i) => [0, 64 + (i + 1) * 50_000])]), 54_000);
  // One-way traffic that the peer's WireGuard answers with a keepalive after 10 s each time.
  assert.equal(
    suspectAt(passes(300, (i) => [Math.floor(i / 5) * 32, i * 10_000])),
    undefined,
  );
});

Deno.test("isSuspect misses the keepalives of an idle peer after 65 s", () => {
  assert.equal(suspectAt(passes(40, (i) => [0, Math.floor(i / 10) * 32])), 66_000);
});

Deno.test("followTraffic starts anew when the counters went back", () => {
  const traffic = followTraffic(undefined, seen(T, 100, 100), T);
  assert.deepEqual(followTraffic(traffic, seen(T, 0, 0), T + 1000), {
    rx: 0,
    tx: 0,
    rxAt: T + 1000,
    lookedAt: T + 1000,
    txAtRx: 0,
    handshake: T,
  });
});

Deno.test("followTraffic calls more than handshakes and keepalives busy", () => {
  let traffic = followTraffic(undefined, seen(T, 100, 100), T);
  traffic = followTraffic(traffic, seen(T + 1, 100 + 92 + 32, 100 + 148 + 64), T + 1000);
  assert.equal(traffic!.busyAt, undefined);
  assert.deepEqual(traffic!.grew, { from: T, to: T + 1000 });
  traffic = followTraffic(traffic, seen(T + 1, 224 + 128, 312 + 128), T + 2000);
  assert.equal(traffic!.busyAt, T + 2000);
  assert.equal(followTraffic(traffic, seen(T + 1, 352, 440), T + 3000)!.busyAt, T + 2000);
});
