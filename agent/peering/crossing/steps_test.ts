import assert from "node:assert/strict";
import { BESIDE_LIMIT } from "./steps.ts";
import { decodeTold, DRAIN } from "./stages.ts";
import { LOOPBACK, PEER, PEER_KEY, RELAY_KEY, Run, VPC_RELAY } from "../testing.ts";
import { markOf } from "../ways/mod.ts";
import { STABLE_AFTER } from "../ways/vpc_relay.ts";

const OUTSIDE = PEER.reflexive!;
const MARK = markOf(RELAY_KEY);
const VPC = ["100.64.0.0/10", "200::/64"];
const STAND_INS = ["244.64.0.2/32", "100::2/128"];

/** Two hosts behind symmetric NATs and the VPC's relay; the peer knows probes. */
function behind(): Run {
  const run = new Run({ symmetric: true }, { symmetric: true });
  run.vpcRelay = VPC_RELAY;
  run.probes = { answers: [LOOPBACK] };
  run.pass();
  run.pass(250);
  run.tell(0);
  run.pass(2_000);
  assert.equal(run.last.method, "via-relay");
  return run;
}

/** The same two hosts by DERP, when the VPC has got a relay that works. */
function around(): Run {
  const run = new Run({ symmetric: true }, { symmetric: true });
  run.probes = { answers: [LOOPBACK] };
  run.pass();
  run.answer(LOOPBACK);
  run.pass(250);
  run.vpcRelay = VPC_RELAY;
  run.pass(250);
  run.tell(5);
  run.healthyFor(4_000);
  assert.equal(run.last.method, "via-derp-relay");
  return run;
}

/** What this host says of itself. */
const said = (run: Run) => decodeTold(run.last.probes!.tell!)!;
const standIns = (run: Run) => run.last.crossing?.peer.map(({ alias }) => alias);

Deno.test("a direct way is made ready beside the relay, which keeps all prefixes until there is a handshake", () => {
  const run = behind();
  assert.deepEqual(said(run), { stage: 0, crosses: true, carrier: MARK });
  run.probes = { answers: [LOOPBACK, OUTSIDE] };
  run.pass(250);
  assert.equal(run.last.method, "via-relay");
  assert.equal(run.last.code, "probing");
  assert.equal(run.last.healthy, true);
  assert.equal(run.last.endpoint, OUTSIDE);
  assert.equal(run.last.configured, true);
  assert.equal(run.last.keepaliveSeconds, 1);
  assert.deepEqual(run.last.allowedIps, []);
  assert.deepEqual(run.relayPlan!.allowedIps, [...VPC, ...VPC_RELAY.allowedIps]);
  assert.equal(run.last.crossing, undefined);
  assert(run.wakeAt - run.now <= 250);
  run.pass(250);
  assert.equal(said(run).stage, 0);
});

Deno.test("a peer goes by stages from behind the relay to a direct way, as fast as the other side", () => {
  const run = behind();
  run.probes = { answers: [LOOPBACK, OUTSIDE] };
  run.pass(250);
  run.answer(OUTSIDE);
  const stages: [number, boolean | undefined, string, string[]][] = [];
  const look = () => {
    run.pass(250);
    assert.deepEqual(standIns(run), said(run).stage === 5 ? undefined : STAND_INS);
    assert.equal(run.last.probes!.ask, said(run).stage === 5 ? undefined : true);
    stages.push([
      said(run).stage,
      run.last.crossing?.sending,
      run.last.method,
      run.last.allowedIps,
    ]);
  };
  look();
  look(); // the other side is not as far
  for (const stage of [1, 2] as const) {
    run.tell(stage);
    look();
    run.pass(DRAIN - 251);
    if (stage === 2) look();
  }
  for (const stage of [3, 4] as const) {
    run.tell(stage);
    look();
  }
  run.pass(DRAIN - 251);
  look();
  const own = PEER.allowedIps;
  assert.deepEqual(stages, [
    [1, false, "via-relay", []],
    [1, false, "via-relay", []],
    [2, true, "via-relay", []],
    [2, true, "via-relay", []],
    [3, true, "reflexive", own],
    [4, false, "reflexive", own],
    [4, false, "reflexive", own],
    [5, undefined, "reflexive", own],
  ]);
  assert.equal(run.last.endpoint, OUTSIDE);
  assert.equal(run.last.healthy, true);
  assert.equal(run.last.code, "answered");
  assert.deepEqual(run.last.history.slice(-3).map(({ event }) => event), [
    "probe",
    "probe-kept",
    "healthy",
  ]);
});

Deno.test("a peer goes by stages from DERP behind the relay when that lasts and both reach it", () => {
  const run = around();
  const stages = new Set<string>();
  const step = (ms = 250) => {
    run.answer(LOOPBACK);
    run.pass(ms);
    stages.add(`${said(run).stage} ${run.last.method}`);
  };
  // The peer does not reach the relay yet: nothing is left for it.
  run.tell(5, { carrier: 0 });
  for (let t = 0; t < STABLE_AFTER; t += 1_000) step(1_000);
  assert.deepEqual([...stages], ["5 via-derp-relay"]);
  run.tell(5);
  step();
  step();
  for (const stage of [4, 3, 2, 1] as const) {
    run.tell(stage);
    for (let t = 0; t <= DRAIN; t += 250) step();
  }
  assert.deepEqual([...stages], [
    "5 via-derp-relay",
    "4 via-derp-relay",
    "3 via-derp-relay",
    "2 via-relay",
    "1 via-relay",
    "0 via-relay",
  ]);
  step();
  assert.equal(run.last.configured, false);
  assert.equal(run.last.code, "vpc-relay");
});

Deno.test("a way beside the relay that leads nowhere costs nothing, and is not tried again at once", () => {
  const run = behind();
  run.probes = { answers: [LOOPBACK, OUTSIDE] };
  run.pass(250);
  const began = run.now;
  run.passUntil(({ configured, method }) => {
    assert.equal(method, "via-relay");
    return !configured;
  });
  assert(run.now - began <= BESIDE_LIMIT + 500, `${run.now - began} ms`);
  assert.equal(run.last.history.at(-1)!.event, "probe-failed");
  for (let t = 0; t < 8_000; t += 250) assert.equal(run.pass(250).configured, false);
  // And one that answers no more is dropped before that.
  const other = behind();
  other.probes = { answers: [LOOPBACK, OUTSIDE] };
  other.pass(250);
  other.probes = { answers: [LOOPBACK], silent: { [OUTSIDE]: other.now } };
  assert.equal(other.pass(250).configured, false);
});

Deno.test("a peer that tells nothing of itself gets its prefixes with its handshake", () => {
  const run = behind();
  run.told = undefined;
  run.probes = { answers: [LOOPBACK, OUTSIDE] };
  run.pass(250);
  assert.deepEqual(run.last.allowedIps, []);
  run.answer(OUTSIDE);
  run.pass(250);
  assert.equal(run.last.method, "reflexive");
  assert.equal(run.last.crossing, undefined);
  assert.deepEqual(run.last.allowedIps, PEER.allowedIps);
});

Deno.test("hosts without stand-ins change over when both are ready", () => {
  for (const mine of [true, false]) {
    const run = behind();
    run.crosses = mine;
    run.tell(0, { crosses: !mine });
    run.probes = { answers: [LOOPBACK, OUTSIDE] };
    run.pass(250);
    run.answer(OUTSIDE);
    run.pass(250);
    run.pass(250);
    assert.deepEqual([run.last.method, said(run).stage], ["via-relay", 1]);
    assert.equal(run.last.crossing, undefined);
    run.tell(1, { crosses: !mine });
    run.pass(250);
    assert.deepEqual([run.last.method, said(run).stage], ["reflexive", 5]);
  }
});

Deno.test("the relay is left at once when it is lost, for the way beside it where there is one", () => {
  const run = behind();
  run.probes = { answers: [LOOPBACK, OUTSIDE] };
  run.pass(250);
  run.answer(OUTSIDE);
  run.pass(250);
  assert.equal(said(run).stage, 1);
  run.vpcRelayAnswers = false;
  run.pass(250);
  assert.deepEqual([run.last.method, said(run).stage], ["reflexive", 5]);
  assert.equal(run.last.healthy, true);
  const other = behind();
  other.vpcRelayAnswers = false;
  assert.equal(other.pass(250).method, "via-derp-relay");
  assert.equal(said(other).carrier, 0);
});

Deno.test("the relay is left when the peer does not reach it, after a moment", () => {
  const run = behind();
  run.tell(5, { carrier: 0 });
  run.pass(250);
  assert.equal(run.last.method, "via-relay");
  assert.equal(run.last.probes!.ask, true);
  assert(run.wakeAt - run.now <= 250);
  const began = run.now;
  run.passUntil(({ method }) => method !== "via-relay");
  assert(run.now - began <= 2_500, `${run.now - began} ms`);
  assert.equal(run.last.method, "via-derp-relay");
  // It stays there until the peer reaches the relay again.
  run.answer(LOOPBACK);
  for (let t = 0; t < 30_000; t += 2_000) {
    assert.equal(run.healthyFor(2_000).method, "via-derp-relay");
  }
});

Deno.test("of two hosts that do not understand each other the one that can goes behind the relay", () => {
  const run = around();
  run.tell(0); // it had to leave its way at once
  const began = run.now;
  while (run.last.method !== "via-relay") {
    run.healthyFor(250);
    assert(run.now - began < 5_000);
  }
  assert.equal(said(run).stage, 0);
  assert.equal(run.history.get(PEER_KEY)?.apartSince, undefined);
  // The other one has nothing to do.
  const other = behind();
  other.tell(5);
  for (let t = 0; t < 4_000; t += 250) assert.equal(other.pass(250).method, "via-relay");
});

Deno.test("a way that works is not left for a relay that has yet to show that it does", () => {
  const run = new Run({ symmetric: true }, { symmetric: true });
  run.pass();
  run.answer(LOOPBACK);
  run.pass(250);
  run.vpcRelay = VPC_RELAY;
  run.vpcRelayAnswers = false;
  for (let t = 0; t < 10_000; t += 2_000) {
    run.healthyFor(2_000);
    assert.deepEqual([run.last.method, run.last.endpoint], ["via-derp-relay", LOOPBACK]);
  }
});
