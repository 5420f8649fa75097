/**
 * The weaknesses of the Go agent's planner (contract/control-api §9), each by its number: what was
 * done wrong there is not done here.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Device, DeviceMetadata } from "../../control/api/types.ts";
import { fakeDevice } from "../testing/fake_control.ts";
import { PROBE_INTERVAL, SUSPECT_AFTER } from "./health/mod.ts";
import {
  chooseCandidates,
  chooseRelays,
  HANDSHAKE_LIFE,
  type Observed,
  type Peer,
  type PeerHistory,
  plan,
} from "./mod.ts";
import { LOOPBACK, PEER, PEER_KEY, RELAY_KEY, Run, SELF, VPC_RELAY } from "./testing.ts";

const keyOf = (n: number) => new Uint8Array(32).fill(9).with(0, n).toBase64();
const PUBLIC = { host: "public.relay", port: 443 };
const relayDevice = (more: Partial<Device> = {}) =>
  fakeDevice("r", keyOf(7), 7, { relay: true, ...more });
const derpRow: DeviceMetadata = {
  device_id: "r",
  key: "relay",
  value: { type: "derp", hostname: "relay.lab" },
  revision: 1,
};
const choose = (devices: Device[], metadata: DeviceMetadata[], metadataComplete = true) => {
  const listed = chooseRelays({ devices, metadata, metadataComplete, publicRelays: [PUBLIC] });
  const choice = { ...listed, relay: listed.relays?.[0] };
  return { choice, ...chooseCandidates(devices, SELF, choice) };
};

Deno.test("2: a peer without a loopback endpoint is not given an empty one, and says why", () => {
  const run = new Run({ symmetric: true });
  run.loopback = undefined;
  assert.equal(run.pass().method, "none");
  assert.equal(run.last.endpoint, undefined);
  assert.match(run.last.reason, /the proxy has no loopback endpoint for the peer/);
  assert.deepEqual(run.last.allowedIps, PEER.allowedIps);
  run.loopback = LOOPBACK;
  assert.equal(run.pass(2000).endpoint, LOOPBACK);
});

Deno.test("7, 9: a relay is used after a NAT re-binding, at its own port, and followed when it changes", () => {
  const rebound = relayDevice({
    endpoints: [{ source: "stun:stun.example:3478", address: "198.51.100.9:6" }],
  });
  const row = (value: Record<string, unknown>) => ({
    ...derpRow,
    value: { ...derpRow.value, certmodemanual: true, ...value },
  });
  assert.deepEqual(choose([rebound], [row({ port: 8443 })]).choice.relay, {
    region: 901,
    host: "relay.lab",
    port: 8443,
    address: "198.51.100.9",
    pin: true,
  });
  assert.equal(choose([rebound], [row({ hostname: "other.lab" })]).choice.relay!.host, "other.lab");
});

Deno.test("11: a relay of a kind not known yet is neither a WireGuard relay nor a DERP one", () => {
  const { peers, skipped, choice } = choose([relayDevice()], [], false);
  assert.deepEqual(peers, []);
  assert.equal(skipped[0]!.code, "relay-undecided");
  assert.equal(choice.relay, undefined);
});

Deno.test("12: a DERP relay gets no prefix of the VPC, and no peer goes through it in WireGuard", () => {
  const { peers, skipped } = choose([relayDevice(), fakeDevice("p", keyOf(2), 2)], [derpRow]);
  assert.equal(skipped[0]!.code, "relay-device");
  const { plans } = plan({
    self: { ...SELF, symmetric: true },
    peers,
    relay: "relay.lab",
    loopback: new Map([[keyOf(2), LOOPBACK]]),
    observed: new Map(),
    history: new Map(),
    now: 1,
  });
  assert.deepEqual(plans.map((p) => p.method), ["via-derp-relay"]);
  assert.deepEqual(plans[0]!.allowedIps, ["100.64.0.2/32", "200::2/128"]);
});

Deno.test("12: the relay itself takes no way through a proxy that it does not run", () => {
  for (const symmetric of [false, true]) {
    const run = new Run({ relay: true, symmetric }, { symmetric });
    run.loopback = undefined;
    assert.equal(run.pass().method, "relay-node-self");
  }
});

Deno.test("13: the relay gets both of the VPC's ranges and of a peer's prefixes, each once", () => {
  const run = new Run({ symmetric: true }, {
    allowedIps: [...PEER.allowedIps, "10.7.0.0/16", "fd07::/48"],
  });
  run.vpcRelay = VPC_RELAY;
  run.pass();
  run.pass(250);
  assert.equal(run.last.method, "via-relay");
  const allowed = run.relayPlan!.allowedIps;
  for (const prefix of ["100.64.0.0/10", "200::/64", "10.7.0.0/16", "fd07::/48"]) {
    assert.equal(allowed.filter((text) => text === prefix).length, 1, prefix);
  }
});

Deno.test("14: no peer breaks the plan by what it leaves out", () => {
  const bare = { endpoints: null, allowed_ips: [], ipv6_tunnel_ips: [] } as Partial<Device>;
  const odd: Device[] = [
    fakeDevice("a", keyOf(1), 1, { endpoints: null }),
    fakeDevice("b", keyOf(2), 2, { endpoints: [{ source: "local", address: "10.0.0.2:1" }] }),
    { ...fakeDevice("c", keyOf(3), 3), ipv4_tunnel_ips: [], ipv6_tunnel_ips: [] },
    { ...relayDevice(), ...bare },
  ];
  for (const value of [{}, { type: 5 }, { type: null, hostname: {} }, { type: ["derp"] }]) {
    const { peers } = choose(odd, [{ ...derpRow, value }]);
    const { plans } = plan({
      self: SELF,
      peers,
      loopback: new Map(),
      observed: new Map(),
      history: new Map(),
      now: 1,
    });
    assert.deepEqual(plans.map(({ peer }) => peer.id), ["a", "b", "r"], JSON.stringify(value));
    assert.deepEqual(plans.at(-1)!.allowedIps, ["100.64.0.0/10", "200::/64", "100.64.0.7/32"]);
  }
});

Deno.test("16: the relay does not depend on the order of arrival", () => {
  const relays: Peer[] = ["x", "y", "z"].map((id, i) => ({
    ...VPC_RELAY,
    id,
    publicKey: keyOf(20 + i),
  }));
  fc.assert(fc.property(fc.shuffledSubarray(relays, { minLength: 3 }), (peers) => {
    const { plans } = plan({
      self: SELF,
      peers,
      loopback: new Map(),
      observed: new Map(),
      history: new Map(),
      now: 1,
    });
    const carriers = plans.filter((p) => p.allowedIps.includes("100.64.0.0/10"));
    assert.deepEqual(carriers.map((p) => p.peer.id), ["x"]);
  }));
});

Deno.test("16: a healthy relay path is left for a direct one when that works", () => {
  const run = new Run();
  run.pass();
  run.passFor(30_000);
  run.answer(LOOPBACK);
  const began = run.now;
  while (run.last.code !== "probing" && run.now - began < 2 * PROBE_INTERVAL) run.healthyFor(2000);
  run.answer(PEER.reflexive!);
  run.healthyFor(8000);
  assert.equal(run.last.method, "reflexive");
  assert.equal(run.last.code, "both-cone");
});

Deno.test("16: a dead path is left in seconds, while its last handshake is recent", () => {
  const run = new Run();
  run.pass();
  run.healthyFor(20_000);
  const began = run.now;
  while (run.last.method === "reflexive" && run.now - began < HANDSHAKE_LIFE) {
    run.observed = { ...run.observed!, txBytes: run.observed!.txBytes + 84 };
    run.pass(2000);
  }
  // Bytes that count as asking may need a second pass to come together.
  assert(run.now - began <= SUSPECT_AFTER + 4000, `${run.now - began} ms`);
});

Deno.test("20b: a malformed key costs its own device its place, and nobody else", () => {
  const { peers, skipped } = choose([
    fakeDevice("a", "not-a-key", 1),
    fakeDevice("b", keyOf(2), 2),
  ], []);
  assert.deepEqual(peers.map((p) => p.id), ["b"]);
  assert.deepEqual(skipped.map((s) => s.code), ["bad-key"]);
});

Deno.test("20c: no word of a relay that is missing while the public one carries the traffic", () => {
  const run = new Run({ symmetric: true }, { symmetric: true });
  run.pass();
  run.answer();
  run.pass(2000);
  assert.equal(run.last.healthy, true);
  assert.equal(run.last.code, "both-symmetric");
  assert.doesNotMatch(run.last.reason, /no relay|missing|required/);
});

const observed = fc.record({
  endpoint: fc.constantFrom(LOOPBACK, PEER.reflexive!, PEER.local!, "198.51.100.1:1"),
  lastHandshake: fc.nat(400_000),
  rxBytes: fc.nat(1000),
  txBytes: fc.nat(1000),
}, { requiredKeys: ["rxBytes", "txBytes"] });
const step = fc.record({
  ms: fc.nat(60_000),
  self: fc.record({ symmetric: fc.boolean(), relayOnly: fc.boolean(), relay: fc.boolean() }),
  peer: fc.record({ symmetric: fc.boolean(), online: fc.boolean(), relay: fc.boolean() }),
  relay: fc.boolean(),
  loopback: fc.boolean(),
  seen: fc.option(observed),
  relaySeen: fc.option(observed),
});

Deno.test("plan is whole after whatever happens: one owner of a prefix, bounded memory, a reason", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    let history: ReadonlyMap<string, PeerHistory> = new Map(), now = 1_700_000_000_000;
    for (const { ms, self, peer, relay, loopback, seen, relaySeen } of steps) {
      now += ms;
      const seenBy = new Map<string, Observed>();
      for (const [key, one] of [[PEER_KEY, seen], [RELAY_KEY, relaySeen]] as const) {
        if (one === null) continue;
        const { lastHandshake, ...rest } = one;
        const at = lastHandshake === undefined ? {} : { lastHandshake: now - lastHandshake };
        seenBy.set(key, { ...rest, ...at });
      }
      const result = plan({
        self: { ...SELF, ...self },
        peers: [{ ...PEER, ...peer }, VPC_RELAY],
        ...(relay ? { relay: "relay.lab" } : {}),
        loopback: new Map(loopback ? [[PEER_KEY, LOOPBACK]] : []),
        observed: seenBy,
        history,
        now,
      });
      history = result.history;
      assert(result.wakeAt > now, "it asks to be called at once, for ever");
      const owned = result.plans.filter((p) => p.configured).flatMap((p) => p.allowedIps);
      assert.equal(new Set(owned).size, owned.length, "two peers have one prefix");
      for (const one of result.plans) {
        assert(one.reason.length > 0 && one.history.length <= 16);
        assert.notEqual(one.endpoint, "");
        if (self.relayOnly && !self.relay && !one.peer.relay) {
          assert(!["direct-local", "reflexive"].includes(one.method), one.method);
        }
      }
    }
  }));
});
