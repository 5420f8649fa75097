import assert from "node:assert/strict";
import { NEVER_HEALTHY_LIMIT, type Peer, type PeerHistory, plan, type Self } from "./mod.ts";
import { LOOPBACK, PEER, PEER_KEY, Run, SAME_NAT, SELF, VPC_RELAY } from "./testing.ts";

/** The methods chosen one after the other while nobody ever answers. */
function sequence(run: Run, steps: number): string[] {
  const methods: string[] = [run.pass().method];
  while (methods.length < steps) methods.push(run.passFor(NEVER_HEALTHY_LIMIT).method);
  return methods;
}

Deno.test("plan walks the decision table", () => {
  const table: [string, Partial<Self>, Partial<Peer>, string | undefined, string[]][] = [
    ["same NAT, no relay", {}, SAME_NAT, undefined, ["direct-local", "reflexive", "direct-local"]],
    [
      "same NAT, relay",
      {},
      SAME_NAT,
      "relay.lab",
      ["direct-local", "reflexive", "via-derp-relay", "direct-local"],
    ],
    ["other NAT, no relay", {}, {}, undefined, ["reflexive", "reflexive", "reflexive"]],
    ["other NAT, relay", {}, {}, "relay.lab", ["reflexive", "via-derp-relay", "reflexive"]],
    [
      "symmetric, same NAT",
      { symmetric: true },
      SAME_NAT,
      "relay.lab",
      ["direct-local", "via-derp-relay", "direct-local"],
    ],
    [
      "symmetric, other NAT",
      { symmetric: true },
      {},
      "relay.lab",
      ["via-derp-relay", "via-derp-relay", "via-derp-relay"],
    ],
    ["peer symmetric", {}, { symmetric: true }, "relay.lab", ["via-derp-relay", "via-derp-relay"]],
    [
      "both symmetric",
      { symmetric: true },
      { symmetric: true },
      "relay.lab",
      ["via-derp-relay", "via-derp-relay"],
    ],
    [
      "relays only, same NAT",
      { relayOnly: true, symmetric: true },
      SAME_NAT,
      "relay.lab",
      ["via-derp-relay", "via-derp-relay"],
    ],
    ["symmetric, no relay", { symmetric: true }, {}, undefined, ["none", "none"]],
    ["relays only, no relay", { relayOnly: true, symmetric: true }, SAME_NAT, undefined, ["none"]],
  ];
  for (const [name, self, peer, relay, wanted] of table) {
    const run = new Run(self, peer);
    run.relay = relay;
    assert.deepEqual(sequence(run, wanted.length), wanted, name);
  }
});

Deno.test("plan walks the decision table of a VPC with a WireGuard relay", () => {
  const near = { ...VPC_RELAY, reflexive: "203.0.113.1:51820" };
  const hosts: [string, Partial<Self>, Partial<Peer>, string[]][] = [
    ["same NAT", {}, SAME_NAT, ["direct-local", "reflexive", "via-relay", "via-relay"]],
    ["other NAT", {}, {}, ["reflexive", "via-relay", "via-relay"]],
    ["symmetric, other NAT", { symmetric: true }, {}, ["via-relay", "via-relay"]],
    ["peer symmetric", {}, { symmetric: true }, ["via-relay", "via-relay"]],
    ["relays only", { relayOnly: true, symmetric: true }, SAME_NAT, ["via-relay", "via-relay"]],
  ];
  for (const [name, self, peer, wanted] of hosts) {
    const run = new Run(self, peer);
    run.vpcRelay = VPC_RELAY;
    run.pass();
    run.pass(250); // the relay answers
    run.history = new Map([...run.history].filter(([key]) => key !== PEER_KEY));
    assert.deepEqual(sequence(run, wanted.length), wanted, name);
    assert.equal(run.last.healthy, true, name);
  }
  // The relay itself as the peer, and this host as the relay.
  const relays: [string, Partial<Self>, Peer, string[]][] = [
    [
      "relay, same NAT",
      {},
      near,
      ["relay-node-peer-direct-local", "relay-node-peer", "relay-node-peer-direct-local"],
    ],
    ["relay, other NAT", {}, VPC_RELAY, ["relay-node-peer", "relay-node-peer"]],
    ["relay, relays only", { relayOnly: true }, VPC_RELAY, ["relay-node-peer"]],
    [
      "self relay, same NAT",
      { relay: true },
      SAME_NAT,
      ["relay-node-self-direct-local", "relay-node-self", "relay-node-self-direct-local"],
    ],
    ["self relay, other NAT", { relay: true }, PEER, ["relay-node-self", "relay-node-self"]],
    ["self relay, other relay", { relay: true }, VPC_RELAY, ["relay-node-self"]],
  ];
  for (const [name, self, peer, wanted] of relays) {
    const run = new Run(self, { ...peer, publicKey: PEER_KEY });
    assert.deepEqual(sequence(run, wanted.length), wanted, name);
  }
});

Deno.test("plan gives the code, the reason and the endpoint of each choice", () => {
  const table: [Partial<Self>, Partial<Peer>, string, RegExp, string][] = [
    [{}, SAME_NAT, "same-nat", /both are behind 203\.0\.113\.1/, "192.168.1.3:40000"],
    [{}, {}, "both-cone", /neither side's NAT is symmetric/, "203.0.113.2:40000"],
    [{ relayOnly: true, symmetric: true }, {}, "relay-only", /relays only/, LOOPBACK],
    [{ symmetric: true }, { symmetric: true }, "both-symmetric", /both NATs/, LOOPBACK],
    [{ symmetric: true }, {}, "self-symmetric", /this host's NAT/, LOOPBACK],
    [{}, { symmetric: true }, "peer-symmetric", /the peer's NAT/, LOOPBACK],
  ];
  for (const [self, peer, code, reason, endpoint] of table) {
    const decided = new Run(self, peer).pass();
    assert.equal(decided.code, code);
    assert.match(decided.reason, reason);
    assert.equal(decided.endpoint, endpoint);
  }
  const bare = new Run();
  delete bare.peer.reflexive;
  delete bare.peer.local;
  assert.equal(bare.pass().code, "no-endpoint");
  assert.equal(bare.last.endpoint, LOOPBACK);
  bare.relay = undefined;
  assert.equal(bare.pass(2000).code, "no-method");
  assert.match(bare.last.reason, /direct-local: .*reflexive: .*via-derp-relay: no relay is known/);
  assert.equal(bare.last.endpoint, undefined);
  assert.equal(bare.last.keepaliveSeconds, 20);
});

Deno.test("plan stays with a healthy method", () => {
  const run = new Run();
  run.pass();
  assert.equal(run.healthyFor(240_000).method, "reflexive");
  assert.equal(run.last.healthy, true);
});

Deno.test("plan does not take a handshake of the method before for health of the new one", () => {
  const run = new Run();
  run.pass();
  run.healthyFor(10_000);
  run.peer = { ...run.peer, symmetric: true };
  assert.equal(run.pass(2000).method, "via-derp-relay");
  assert.equal(run.pass(2000).healthy, false);
  run.answer();
  assert.equal(run.pass(2000).healthy, true);
});

Deno.test("plan uses the relay for two cone NATs when direct ways fail", () => {
  const run = new Run();
  run.pass();
  run.passFor(NEVER_HEALTHY_LIMIT);
  assert.equal(run.last.method, "via-derp-relay");
  assert.equal(run.last.code, "direct-failed");
  assert.equal(run.healthyFor(120_000).method, "via-derp-relay");
});

Deno.test("plan suspects a path when bytes leave and none come, long before the handshake is old", () => {
  const run = new Run();
  run.pass();
  run.healthyFor(20_000);
  const began = run.now;
  while (run.last.method === "reflexive" && run.now - began < 60_000) {
    run.observed = { ...run.observed!, txBytes: run.observed!.txBytes + 1000 };
    run.pass(2000);
  }
  assert.equal(run.last.method, "via-derp-relay");
  assert(run.now - began <= 20_000, `after ${run.now - began} ms`);
});

Deno.test("plan does not suspect an idle path that only sends keepalives", () => {
  const run = new Run();
  run.pass();
  run.healthyFor(4_000);
  for (let t = 0; t < 60_000; t += 2000) {
    if (t % 20_000 === 0) run.observed = { ...run.observed!, txBytes: run.observed!.txBytes + 32 };
    assert.equal(run.pass(2000).healthy, true);
  }
  // Three keepalives of the peer are missing now.
  run.passFor(10_000);
  assert.equal(run.last.method, "via-derp-relay");
});

Deno.test("plan leaves the only method alone while it is suspect", () => {
  const run = new Run({ symmetric: true });
  run.pass();
  run.healthyFor(20_000);
  const before = run.last.endpoint;
  for (let t = 0; t < 60_000; t += 2000) {
    run.observed = { ...run.observed!, txBytes: run.observed!.txBytes + 1000 };
    assert.equal(run.pass(2000).endpoint, before);
  }
  assert.equal(run.last.healthy, false);
  run.answer();
  assert.equal(run.pass(2000).healthy, true);
});

Deno.test("plan starts anew when the device changes or comes online", () => {
  const run = new Run();
  run.pass();
  run.passFor(NEVER_HEALTHY_LIMIT);
  assert.equal(run.last.method, "via-derp-relay");
  run.peer = { ...run.peer, reflexive: "203.0.113.2:50000" };
  assert.equal(run.pass(2000).endpoint, "203.0.113.2:50000");
  run.passFor(NEVER_HEALTHY_LIMIT);
  run.peer = { ...run.peer, online: false };
  assert.equal(run.pass(2000).method, "via-derp-relay");
  run.peer = { ...run.peer, online: true };
  assert.equal(run.pass(2000).method, "reflexive");
});

Deno.test("plan keeps a way that has just answered when the peer is then said to be online", () => {
  const run = new Run({ symmetric: true }, { online: false });
  run.pass();
  run.now += 1_500;
  run.answer(LOOPBACK); // between two passes
  run.now += 500;
  run.peer = { ...run.peer, online: true };
  run.pass();
  assert.equal(run.pass(2000).healthy, true);
});

Deno.test("plan takes a changed endpoint of the current method at the next pass", () => {
  const run = new Run({ symmetric: true });
  run.pass();
  run.healthyFor(4_000);
  run.loopback = "127.0.0.9:9002";
  assert.equal(run.pass(2000).endpoint, "127.0.0.9:9002");
  assert.equal(run.last.method, "via-derp-relay");
});

Deno.test("plan follows the peer when WireGuard has followed it to another way", () => {
  const run = new Run();
  run.pass();
  run.answer(LOOPBACK);
  run.pass(2000);
  assert.equal(run.last.method, "via-derp-relay");
  assert.equal(run.last.code, "peer-moved");
  assert.equal(run.last.endpoint, LOOPBACK);
  assert.equal(run.healthyFor(60_000).code, "peer-moved");
  // And back again.
  run.answer("203.0.113.2:40000");
  run.pass(2000);
  assert.equal(run.last.method, "reflexive");
});

Deno.test("plan never follows a peer off the relay when only relays are allowed", () => {
  const run = new Run({ relayOnly: true, symmetric: true });
  run.pass();
  run.answer("203.0.113.2:40000");
  assert.equal(run.pass(2000).method, "via-derp-relay");
});

Deno.test("plan leaves a direct way that it followed the peer to when only relays are allowed now", () => {
  const run = new Run({ symmetric: true });
  run.pass();
  run.answer("203.0.113.2:40000");
  assert.equal(run.pass(2000).method, "reflexive");
  run.self = { ...run.self, relayOnly: true };
  assert.equal(run.pass(2000).method, "via-derp-relay");
});

Deno.test("plan leaves a relayed method when the relay is gone", () => {
  const run = new Run();
  run.pass();
  run.passFor(NEVER_HEALTHY_LIMIT);
  run.relay = undefined;
  assert.equal(run.pass(2000).method, "reflexive");
});

Deno.test("plan of one peer does not depend on the others, and changes nothing it was given", () => {
  const others: Peer[] = Array.from({ length: 20 }, (_, i) => ({
    ...PEER,
    id: `p${i}`,
    publicKey: String(i).padEnd(43, "C") + "=",
    symmetric: i % 2 === 0,
  }));
  const input = {
    self: SELF,
    peers: [...others, PEER],
    relay: "relay.lab",
    loopback: new Map([[PEER_KEY, LOOPBACK]]),
    observed: new Map(),
    history: new Map<string, PeerHistory>(),
    now: 1000,
  };
  const frozen = structuredClone(input);
  const together = plan(input).plans.at(-1);
  assert.deepEqual(input, frozen);
  assert.deepEqual(together, plan({ ...input, peers: [PEER] }).plans[0]);
});
