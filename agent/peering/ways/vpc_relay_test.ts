import assert from "node:assert/strict";
import { NEVER_HEALTHY_LIMIT, type Peer, type PeerHistory, plan } from "../mod.ts";
import { LOOPBACK, PEER, PEER_KEY, RELAY_KEY, Run, SELF, VPC_RELAY } from "../testing.ts";
import { chooseCarrier, PENDING_LIMIT, STABLE_AFTER } from "./vpc_relay.ts";

const VPC = ["100.64.0.0/10", "200::/64"];

/** Two hosts behind symmetric NATs, and a relay. */
function relayed(answers = true): Run {
  const run = new Run({ symmetric: true }, { symmetric: true });
  run.vpcRelay = VPC_RELAY;
  run.vpcRelayAnswers = answers;
  run.pass();
  return run;
}

Deno.test("plan routes the VPC to its relay, and takes the peers behind it out of WireGuard", () => {
  const run = relayed();
  run.pass(250);
  assert.equal(run.last.method, "via-relay");
  assert.equal(run.last.code, "vpc-relay");
  assert.equal(run.last.reason, "through the VPC's relay vpc-relay");
  assert.equal(run.last.configured, false);
  assert.equal(run.last.endpoint, undefined);
  assert.equal(run.relayPlan!.method, "relay-node-peer");
  assert.equal(run.relayPlan!.configured, true);
  assert.equal(run.relayPlan!.endpoint, VPC_RELAY.reflexive);
  assert.deepEqual(run.relayPlan!.allowedIps, [...VPC, ...VPC_RELAY.allowedIps]);
});

Deno.test("plan routes what lies outside the VPC to the relay too, each prefix once", () => {
  const run = relayed();
  run.peer = { ...run.peer, allowedIps: [...PEER.allowedIps, "10.1.0.0/16", "fd00:1::/64"] };
  run.pass(250);
  assert.deepEqual(run.relayPlan!.allowedIps, [
    ...VPC,
    ...VPC_RELAY.allowedIps,
    "10.1.0.0/16",
    "fd00:1::/64",
  ]);
  // A peer that is reached directly keeps its own.
  run.self = { ...run.self, symmetric: false };
  run.peer = { ...run.peer, symmetric: false };
  run.pass(2000);
  assert.deepEqual([run.last.method, run.last.configured], ["via-relay", true]);
  assert.deepEqual(run.last.allowedIps, [], "they are the relay's until there is a handshake");
  run.answer();
  run.pass(250);
  assert.equal(run.last.method, "reflexive");
  assert.deepEqual(run.last.allowedIps, run.peer.allowedIps);
  assert.deepEqual(run.relayPlan!.allowedIps, [...VPC, ...VPC_RELAY.allowedIps]);
});

Deno.test("plan routes no range to a relay that is no VPC's", () => {
  const run = relayed();
  run.self = { ...run.self, ipv4Cidr: "0.0.0.0/0", ipv6Cidr: "::/0" };
  run.pass(250);
  assert.deepEqual(
    run.relayPlan!.allowedIps.sort(),
    [...VPC_RELAY.allowedIps, ...PEER.allowedIps].sort(),
  );
});

Deno.test("plan waits a moment for the relay's first handshake, then goes around it", () => {
  const run = relayed(false);
  assert.equal(run.last.method, "none");
  assert.match(run.last.reason, /via-relay: .*does not answer.*via-derp-relay: .*being tried/);
  run.pass(PENDING_LIMIT - 1);
  assert.equal(run.last.method, "none");
  assert.equal(run.pass(1).method, "via-derp-relay");
  assert.equal(run.last.endpoint, LOOPBACK);
  // And stays there, however often the relay itself is searched for.
  run.answer(LOOPBACK);
  for (let t = 0; t < 300_000; t += 2000) {
    assert.equal(run.healthyFor(2000).method, "via-derp-relay");
  }
});

Deno.test("plan comes back to the VPC's relay when it has been healthy for a while", () => {
  const run = relayed(false);
  run.pass(PENDING_LIMIT);
  run.answer();
  run.pass(2000);
  run.vpcRelayAnswers = true;
  const began = run.now;
  while (run.last.method === "via-derp-relay" && run.now - began < 60_000) run.healthyFor(2000);
  assert.equal(run.last.method, "via-relay");
  assert(run.now - began >= STABLE_AFTER && run.now - began <= STABLE_AFTER + 4000);
});

Deno.test("plan leaves the VPC's relay when it is lost, at once", () => {
  const run = relayed();
  run.pass(250);
  run.passFor(4000);
  run.vpcRelayAnswers = false;
  assert.equal(run.pass(2000).method, "via-derp-relay");
});

Deno.test("plan goes from the DERP relay to the VPC's, not by a direct way that has failed", () => {
  const run = new Run();
  run.vpcRelay = VPC_RELAY;
  run.vpcRelayAnswers = false;
  run.pass();
  run.passFor(NEVER_HEALTHY_LIMIT + 2000);
  assert.equal(run.last.method, "via-derp-relay");
  run.answer(LOOPBACK);
  run.vpcRelayAnswers = true;
  const seen = new Set<string>();
  for (let i = 0; i < 10; i++) seen.add(run.healthyFor(2000).method);
  assert.deepEqual([...seen], ["via-derp-relay", "via-relay"]);
});

Deno.test("plan looks for a direct way again from behind the VPC's relay", () => {
  const run = new Run();
  run.vpcRelay = VPC_RELAY;
  run.pass();
  run.passFor(NEVER_HEALTHY_LIMIT);
  assert.equal(run.last.method, "via-relay");
  run.passUntil(({ code }) => code === "probing", 2000);
  assert.equal(run.last.configured, true);
  run.observed = { rxBytes: 0, txBytes: 148, endpoint: PEER.reflexive! };
  run.pass(2000);
  run.answer();
  run.pass(250);
  run.pass(2000);
  assert.equal(run.last.method, "reflexive");
  assert.equal(run.last.code, "both-cone");
});

Deno.test("plan has one relay at a time, and leaves it only when it fails", () => {
  const second: Peer = {
    ...VPC_RELAY,
    id: "another",
    publicKey: "D".repeat(43) + "=",
    allowedIps: ["100.64.0.10/32"],
  };
  const input = (history: ReadonlyMap<string, PeerHistory>, healthy: string[], now: number) => ({
    self: SELF,
    peers: [VPC_RELAY, second],
    loopback: new Map(),
    observed: new Map(
      healthy.map((key) => [key, { lastHandshake: now, rxBytes: now, txBytes: 0 }]),
    ),
    history,
    now,
  });
  const both = [RELAY_KEY, second.publicKey];
  let now = 1_700_000_000_000, history: ReadonlyMap<string, PeerHistory> = new Map();
  const carriers = (healthy: string[]) => {
    const result = plan(input(history, healthy, now += 2000));
    history = result.history;
    return result.plans.filter((p) => p.allowedIps.includes(VPC[0]!)).map((p) => p.peer.id);
  };
  assert.deepEqual(carriers(both), ["another"]);
  assert.deepEqual(carriers(both), ["another"]);
  now += 300_000;
  assert.deepEqual(carriers([RELAY_KEY]), ["relay"]);
  assert.deepEqual(carriers(both), ["relay"]);
  assert.equal(chooseCarrier([]), undefined);
});

Deno.test("plan of a relay routes the VPC to no other relay", () => {
  const run = new Run({ relay: true });
  run.vpcRelay = VPC_RELAY;
  run.pass();
  run.pass(250);
  assert.deepEqual(run.relayPlan!.allowedIps, VPC_RELAY.allowedIps);
  assert.equal(run.last.method, "relay-node-self");
});

Deno.test("plan of the relay itself begins with where peers say they are, and follows them from then on", () => {
  const run = new Run({ relay: true });
  assert.equal(run.pass().method, "relay-node-self");
  assert.equal(run.last.code, "self-is-relay");
  assert.equal(run.last.endpoint, PEER.reflexive);
  assert.equal(run.last.configured, true);
  assert.deepEqual(run.last.allowedIps, PEER.allowedIps);
  run.peer = { ...run.peer, reflexive: "203.0.113.2:40009" };
  run.pass(250);
  assert.equal(run.last.endpoint, "203.0.113.2:40009");
  run.answer("198.51.100.9:9"); // wherever the peer speaks from
  assert.equal(run.pass(2000).method, "relay-node-self");
  assert.equal(run.last.healthy, true);
  assert.equal(run.last.endpoint, undefined);
  assert.equal(run.history.get(PEER_KEY)?.adopted, undefined);
  run.peer = { ...run.peer, reflexive: "203.0.113.2:40010" };
  assert.equal(run.pass(2000).endpoint, undefined);

  // Whoever uses relays only says so, too.
  assert.equal(new Run({ relay: true }, { symmetric: true }).pass().endpoint, PEER.reflexive);
  const neighbour = new Run({ relay: true }, { reflexive: "203.0.113.1:40001" }).pass();
  assert.equal(neighbour.method, "relay-node-self-direct-local");
  assert.equal(neighbour.endpoint, PEER.local);
});

Deno.test("plan of a relay that was started again speaks first where it had its peers, once", () => {
  const run = new Run({ relay: true }, { symmetric: true });
  run.seenAt = "198.51.100.7:7";
  assert.equal(run.pass().endpoint, "198.51.100.7:7");
  run.answer("198.51.100.8:8");
  assert.equal(run.pass(250).endpoint, undefined);
  const host = new Run();
  host.seenAt = "198.51.100.7:7";
  assert.equal(host.pass().endpoint, PEER.reflexive);
});
