import assert from "node:assert/strict";
import type { PathReport, PeerPath } from "../../../control/api/types.ts";
import type { PeerPlan } from "../../peering/mod.ts";
import { newsIn, reportOf } from "./mod.ts";
import { underLoad } from "../../../scripts/lab/support.ts";

function plan(id: string, change: Partial<PeerPlan> = {}): PeerPlan {
  return {
    peer: {
      ...{ id, hostname: id, publicKey: `key-${id}`, allowedIps: [], symmetric: false },
      ...{ online: true, notes: [] },
    },
    ...{ method: "reflexive", code: "direct", reason: "both are cone NATs" },
    ...{ endpoint: "192.0.2.1:1", allowedIps: [], keepaliveSeconds: 20, configured: true },
    ...{ healthy: true, history: [] },
    ...change,
  } as PeerPlan;
}

const relay = { host: "r.example", port: 443, role: "home", state: "connected", rttMs: 12.34 };
const proxy = {
  relay,
  relays: [relay, {
    ...relay,
    host: "s.example",
    role: "idle",
    rttMs: undefined,
    error: "refused",
  }],
  peers: [{ publicKey: "key-c", relay: "s.example" }],
} as unknown as Parameters<typeof reportOf>[0]["proxy"];

Deno.test("a report tells each peer's way, its round trip, and the relays", () => {
  const plans = [
    plan("b", { method: "via-derp-relay", endpoint: "127.0.0.3:1", reason: "a\nNAT\u001b" }),
    plan("a"),
    plan("c", { method: "via-derp-relay", endpoint: "127.0.0.4:1", healthy: false }),
    plan("d", { method: "none", healthy: false }),
    { ...plan("gone", { healthy: false }), peer: { ...plan("gone").peer, online: false } },
  ];
  const probed = new Map([
    ["key-a", { speaks: true, answered: new Map([["192.0.2.9:9", { at: 900, rttMs: 1.26 }]]) }],
    ["key-b", { speaks: true, answered: new Map([["127.0.0.3:1", { at: -400_000, rttMs: 5 }]]) }],
    ["key-c", { speaks: true, answered: new Map([["127.0.0.4:1", { at: 1000, rttMs: 30 }]]) }],
  ]);
  // Where packets really come from counts before what is published.
  const stats = new Map([["key-a", { endpoint: "192.0.2.9:9", rxBytes: 1, txBytes: 1 }]]);
  const outcome = { plans, stats, probed } as unknown as Parameters<typeof reportOf>[0]["outcome"];
  assert.deepEqual(reportOf({ outcome, proxy, now: 1000 }), {
    peers: [
      {
        ...{ device_id: "a", path: "direct", healthy: true, reason: "both are cone NATs" },
        latency_ms: 1.3,
      },
      { device_id: "b", path: "relayed", healthy: true, reason: "a NAT", relay: "r.example" },
      {
        ...{ device_id: "c", path: "relayed", healthy: false, reason: "both are cone NATs" },
        ...{ relay: "s.example", latency_ms: 30 },
      },
      { device_id: "d", path: "none", healthy: false, reason: "both are cone NATs" },
    ],
    more: 0,
    relays: [
      { hostname: "r.example", port: 443, home: true, latency_ms: 12.3 },
      { hostname: "s.example", port: 443, home: false, error: "refused" },
    ],
  });
});

Deno.test("a report of a thousand peers is made in milliseconds, and has those that are used", () => {
  const plans = Array.from({ length: 1000 }, (_, i) => plan(`p${i}`, { healthy: i % 2 === 0 }));
  const stats = new Map(plans.map(({ peer: { publicKey } }, i) => [
    publicKey,
    { rxBytes: i < 20 ? 10 ** 9 : 0, txBytes: 0 },
  ]));
  const outcome = { plans, stats } as unknown as Parameters<typeof reportOf>[0]["outcome"];
  const began = performance.now();
  const report = reportOf({ outcome, proxy: undefined, now: 0 });
  assert.ok(performance.now() - began < underLoad(100), "it takes too long");
  assert.deepEqual([report.peers.length, report.more], [128, 872]);
  assert.ok(report.peers.every(({ healthy }) => healthy));
  for (let i = 0; i < 20; i += 2) {
    assert.ok(report.peers.some(({ device_id }) => device_id === `p${i}`), `p${i} is left out`);
  }
  assert.equal(newsIn(report, reportOf({ outcome, proxy: undefined, now: 0 })), undefined);
});

const peer = {
  device_id: "a",
  path: "direct" as const,
  healthy: true,
  reason: "r",
  latency_ms: 40,
};

function reported(change: Partial<PeerPath> = {}, more = 0): PathReport {
  return { peers: [{ ...peer, ...change }], more, relays: [] };
}

Deno.test("a report is news when a way or a round trip is another one", () => {
  const same = [reported(), reported({ latency_ms: 50 }), reported({ latency_ms: 30 })];
  for (const one of same) assert.equal(newsIn(one, reported()), undefined, JSON.stringify(one));
  const ways = [
    reported({ path: "relayed" }),
    reported({ healthy: false }),
    reported({ relay: "r.example" }),
    { ...reported(), peers: [{ ...peer }, { ...peer, device_id: "b" }] },
  ];
  assert.equal(newsIn(reported(), undefined), "path");
  for (const one of ways) assert.equal(newsIn(one, reported()), "path", JSON.stringify(one));
  const details = [
    reported({ latency_ms: 60 }),
    reported({ latency_ms: undefined }),
    reported({ reason: "another" }),
    reported({}, 1),
    { ...reported(), relays: [{ hostname: "r.example", port: 443, home: true }] },
    // It is offline, or has not been reached yet.
    { ...reported(), peers: [] },
    { ...reported(), peers: [peer, { ...peer, device_id: "b", healthy: false }] },
  ];
  for (const one of details) assert.equal(newsIn(one, reported()), "detail", JSON.stringify(one));
  // Of too many peers those with the most traffic are named.
  const others = { ...reported({}, 9), peers: [{ ...peer, device_id: "b" }] };
  assert.equal(newsIn(others, reported({}, 9)), "detail");
});
