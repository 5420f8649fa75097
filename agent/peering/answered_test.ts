/** The planner, and what probes beside WireGuard tell it. */
import assert from "node:assert/strict";
import { PROBE_INTERVAL, PROBE_LIMIT } from "./health/mod.ts";
import { NEVER_HEALTHY_LIMIT } from "./mod.ts";
import { LOOPBACK, PEER, Run, SAME_NAT } from "./testing.ts";

const OUTSIDE = PEER.reflexive!, LEARNT = "203.0.113.2:61234";
const SIX = "[2001:db8:b::1]:40000";

/** A healthy peer on the relay that knows probes, and answers nowhere else. */
function relayed(symmetric = true): Run {
  const run = new Run({ symmetric });
  run.probes = { answers: [LOOPBACK], silent: { [OUTSIDE]: run.now } };
  run.pass();
  run.pass(2000);
  run.healthyFor(4_000);
  assert.equal(run.last.method, "via-derp-relay");
  return run;
}

/** The endpoints WireGuard is given while a peer is healthy for `ms`. */
function endpointsOver(run: Run, ms: number): Set<string | undefined> {
  const seen = new Set<string | undefined>();
  for (let t = 0; t < ms; t += 2000) {
    run.healthyFor(2000);
    seen.add(run.last.endpoint);
  }
  return seen;
}

Deno.test("plan never moves a peer that knows probes to an endpoint that has not answered", () => {
  const run = new Run();
  run.probes = { answers: [LOOPBACK], silent: { [OUTSIDE]: run.now + 100 } };
  run.pass();
  run.pass(2000); // silent: the relay, without waiting for half a minute
  assert.equal(run.last.method, "via-derp-relay");
  assert.deepEqual([...endpointsOver(run, 4 * PROBE_INTERVAL)], [LOOPBACK]);
  assert.deepEqual(run.last.probes?.search, [OUTSIDE]);
});

Deno.test("plan takes a better way as soon as it has answered, and keeps it when bytes come there", () => {
  for (const symmetric of [false, true]) {
    const run = relayed(symmetric);
    run.probes = { answers: [LOOPBACK, OUTSIDE] };
    run.pass(2000);
    assert.equal(run.last.endpoint, OUTSIDE);
    assert.equal(run.last.code, "probing");
    assert.equal(run.last.keepaliveSeconds, 1);
    run.answer(OUTSIDE);
    run.healthyFor(PROBE_LIMIT);
    assert.equal(run.last.method, "reflexive");
    // By the table a symmetric NAT needs a relay: the answer says otherwise.
    assert.equal(run.last.code, symmetric ? "answered" : "both-cone");
    assert.deepEqual([...endpointsOver(run, 600_000)], [OUTSIDE]);
    assert.equal(run.last.probes?.watch, OUTSIDE);
    assert.deepEqual(run.last.probes?.search, []);
  }
});

Deno.test("plan goes back when WireGuard's bytes do not pass where probes do, and waits longer each time", () => {
  const run = relayed();
  run.probes = { answers: [LOOPBACK, OUTSIDE] };
  const tries: number[] = [];
  for (const end = run.now + 600_000; run.now < end;) {
    run.pass(500);
    if (run.last.code === "probing" && tries.at(-1) !== run.now) tries.push(run.now);
    if (run.last.code === "probing") {
      run.passUntil(({ code }) => code !== "probing", 500);
      assert.equal(run.last.endpoint, LOOPBACK);
      run.answer(LOOPBACK);
    } else run.answer(LOOPBACK);
  }
  assert(tries.length >= 4 && tries.length <= 8, `${tries.length} tries in ten minutes`);
  assert(tries.at(-1)! - tries.at(-2)! > 100_000);
});

Deno.test("plan leaves a direct way within two passes when probes find it silent and no byte comes", () => {
  const run = new Run();
  run.pass();
  run.probes = { answers: [OUTSIDE, LOOPBACK] };
  run.healthyFor(20_000);
  const since = run.now;
  run.probes = { answers: [LOOPBACK], silent: { [OUTSIDE]: since } };
  run.observed = { ...run.observed!, txBytes: run.observed!.txBytes + 2000 };
  run.pass(2000);
  assert.equal(run.last.method, "via-derp-relay");
  assert.equal(run.last.history.findLast(({ event }) => event === "suspect")?.method, "reflexive");
});

Deno.test("plan stays on a direct way where bytes come, whatever probes say", () => {
  const run = new Run();
  run.pass();
  run.healthyFor(4_000);
  run.probes = { answers: [LOOPBACK], silent: { [OUTSIDE]: run.now - 60_000 } };
  assert.deepEqual([...endpointsOver(run, 60_000)], [OUTSIDE]);
});

Deno.test("plan comes back to a way that died and answers again, at first after 10 s", () => {
  const run = relayed();
  run.probes = { answers: [LOOPBACK, OUTSIDE] };
  run.pass(2000);
  run.answer(OUTSIDE);
  run.healthyFor(20_000);
  run.probes = { answers: [LOOPBACK], silent: { [OUTSIDE]: run.now } };
  run.pass(2000);
  assert.equal(run.last.endpoint, LOOPBACK);
  run.answer(LOOPBACK);
  const fell = run.now;
  run.probes = { answers: [LOOPBACK, OUTSIDE] };
  while (run.last.endpoint === LOOPBACK && run.now - fell < 60_000) run.healthyFor(1000);
  assert(run.now - fell >= 10_000 && run.now - fell <= 16_000, `${run.now - fell} ms`);
});

Deno.test("plan follows a change of the device without waiting, when its new endpoint answers", () => {
  const run = relayed();
  run.probes = { answers: [LOOPBACK, OUTSIDE] };
  run.pass(2000);
  run.answer(OUTSIDE);
  run.healthyFor(20_000);
  run.probes = { answers: [LOOPBACK], silent: { [OUTSIDE]: run.now } };
  run.pass(2000);
  run.answer(LOOPBACK);
  run.pass(1000);
  const moved = "203.0.113.2:50000";
  run.peer = { ...run.peer, reflexive: moved };
  run.probes = { answers: [LOOPBACK, moved] };
  run.answer(LOOPBACK);
  run.pass(250);
  assert.equal(run.last.endpoint, moved);
});

Deno.test("plan takes a newly published endpoint of a way that works once it has answered", () => {
  const run = new Run();
  run.pass();
  run.probes = { answers: [OUTSIDE, LOOPBACK] };
  run.healthyFor(20_000);
  const moved = "203.0.113.2:50000";
  run.peer = { ...run.peer, reflexive: moved };
  run.healthyFor(4_000);
  assert.equal(run.last.endpoint, OUTSIDE);
  assert.deepEqual(run.last.probes?.search, [moved]);
  run.probes = { answers: [LOOPBACK, moved] };
  run.healthyFor(2_000);
  assert.equal(run.last.endpoint, moved);
  // A change in the middle of a trial ends it no earlier.
  run.self = { ...run.self, reflexive: "203.0.113.1:50001" };
  run.pass(250);
  assert.equal(run.last.endpoint, moved);
  assert.equal(run.last.code, "probing");
});

Deno.test("plan leaves a peer on the relay when its NAT becomes a cone, until it answers directly", () => {
  const run = relayed();
  run.self = { ...run.self, symmetric: false };
  assert.deepEqual([...endpointsOver(run, 10_000)], [LOOPBACK]);
  assert.equal(run.last.code, "direct-failed");
  run.probes = { answers: [LOOPBACK, OUTSIDE] };
  run.healthyFor(2_000);
  assert.equal(run.last.endpoint, OUTSIDE);
});

Deno.test("plan uses an address that only probes have shown, the published one first", () => {
  const run = relayed();
  run.probes = { answers: [LOOPBACK, LEARNT] };
  run.pass(2000);
  assert.equal(run.last.endpoint, LEARNT);
  const both = relayed();
  both.probes = { answers: [LOOPBACK, LEARNT, SIX, OUTSIDE] };
  both.peer = { ...both.peer, reflexive6: SIX };
  both.self = { ...both.self, reflexive6: "[2001:db8:a::1]:40000" };
  both.pass(2000);
  assert.equal(both.last.endpoint, OUTSIDE);
});

Deno.test("plan prefers the local network, and leaves a good outside way for it", () => {
  const run = new Run({}, SAME_NAT);
  run.probes = { answers: [SAME_NAT.reflexive!], silent: { [SAME_NAT.local!]: run.now } };
  run.pass();
  run.pass(2000);
  assert.equal(run.last.endpoint, SAME_NAT.reflexive);
  run.healthyFor(10_000);
  assert.deepEqual(run.last.probes?.search, [SAME_NAT.local]);
  run.probes = { answers: [SAME_NAT.reflexive!, SAME_NAT.local!] };
  run.pass(20_000);
  run.healthyFor(20_000);
  assert.equal(run.last.method, "direct-local");
  // IPv4 is no better than IPv6: a way that works is not left for its like.
  const six = new Run({ symmetric: true, reflexive6: "[2001:db8:a::1]:1" }, { reflexive6: SIX });
  six.pass();
  six.probes = { answers: [SIX, OUTSIDE] };
  assert.deepEqual([...endpointsOver(six, 60_000)], [SIX]);
});

Deno.test("plan asks the VPC's relay whether it lives, and for no other way to it; a relay asks nobody", () => {
  const relay = new Run({ relayOnly: true, symmetric: true }, { relay: true });
  relay.pass();
  const alone = { search: [], watch: OUTSIDE, alone: true, speaks: false };
  assert.deepEqual(relay.last.probes, { ...alone, busy: false });
  relay.healthyFor(2_000);
  relay.observed = { ...relay.observed!, rxBytes: 5_000 };
  assert.deepEqual(relay.pass(250).probes, { ...alone, busy: true });
  // It is dead when it does not answer, and no byte comes either.
  relay.probes = { answers: [], silent: { [OUTSIDE]: relay.now } };
  relay.answer();
  assert.equal(relay.pass(250).healthy, true, "bytes came since then, or may have");
  assert.equal(relay.pass(500).healthy, false);
  relay.probes = { answers: [OUTSIDE] };
  assert.equal(relay.pass(250).healthy, true);
  assert.deepEqual(new Run({ relay: true }).pass().probes, {
    ...{ speaks: false, search: [], busy: false },
  });
});

Deno.test("plan has the session with a silent relay made anew, once, and the relay lives when it answers that", () => {
  const relay = new Run({}, { relay: true });
  relay.pass();
  relay.healthyFor(4_000);
  const since = relay.now;
  // Its answers stop, and then its bytes: another program has taken its place, with its key.
  relay.probes = { answers: [], silent: { [OUTSIDE]: since } };
  assert.equal(relay.last.session, undefined);
  assert.equal(relay.pass(2000).healthy, false);
  assert.equal(relay.last.session, 1);
  // WireGuard counts from zero then.
  relay.observed = { rxBytes: 0, txBytes: 148, endpoint: OUTSIDE };
  for (let i = 0; i < 5; i++) assert.equal(relay.pass(2000).session, 1);
  assert.equal(relay.last.healthy, false);
  relay.answer();
  assert.equal(relay.pass(250).healthy, true, "a handshake is life, whatever stays unanswered");
  relay.healthyFor(60_000);
  assert.deepEqual([relay.last.healthy, relay.last.session], [true, 1]);
  // Another silence is another session.
  relay.probes = { answers: [OUTSIDE] };
  relay.healthyFor(2_000);
  relay.probes = { answers: [], silent: { [OUTSIDE]: relay.now } };
  relay.pass(2000);
  assert.equal(relay.pass(2000).session, 2);
});

Deno.test("plan asks for no probes of direct ways where only relays are allowed", () => {
  const only = new Run({ relayOnly: true, symmetric: true });
  only.probes = { answers: [OUTSIDE] };
  assert.deepEqual(only.pass().probes, {
    speaks: true,
    search: [],
    busy: false,
    relay: LOOPBACK,
  });
  assert.deepEqual([...endpointsOver(only, 60_000)], [LOOPBACK]);
});

Deno.test("plan tries a way of a peer that knows no probes only while the path is idle, or very late", () => {
  for (const busy of [false, true]) {
    const run = new Run();
    run.pass();
    run.passFor(NEVER_HEALTHY_LIMIT);
    run.healthyFor(4_000);
    const began = run.now;
    while (run.last.code !== "probing" && run.now - began < 20 * PROBE_INTERVAL) {
      run.healthyFor(2000);
      if (busy) run.observed = { ...run.observed!, txBytes: run.observed!.txBytes + 5000 };
    }
    const slots = (run.now - began) / PROBE_INTERVAL;
    assert(busy ? slots > 4 && slots < 9 : slots <= 1.1, `${slots} slots, busy: ${busy}`);
  }
});

Deno.test("plan of both sides converges when one is moved to the relay and the direct way answers", () => {
  const run = new Run();
  run.pass();
  run.probes = { answers: [OUTSIDE, LOOPBACK] };
  run.healthyFor(20_000);
  run.answer(LOOPBACK); // the peer took the relay, and WireGuard followed
  run.pass(2000);
  assert.equal(run.last.code, "peer-moved");
  run.pass(2000);
  assert.equal(run.last.endpoint, OUTSIDE);
  run.answer(OUTSIDE);
  assert.deepEqual([...endpointsOver(run, 60_000)], [OUTSIDE]);
});

Deno.test("plan keeps its pace when the clock on the wall is set, either way", () => {
  for (const jump of [-7_200_000, 7_200_000]) {
    const run = new Run();
    run.pass();
    run.passFor(NEVER_HEALTHY_LIMIT);
    run.healthyFor(4_000);
    run.ahead = jump;
    assert.equal(run.healthyFor(20_000).healthy, true);
    assert.equal(run.last.method === "via-derp-relay" || run.last.code === "probing", true);
    let probed = run.last.code === "probing";
    for (let t = 0; t < 2 * PROBE_INTERVAL; t += 2000) {
      probed ||= run.healthyFor(2000).code === "probing";
    }
    assert(probed, "it never looked for a better way again");
    assert(run.wakeAt > run.now && run.wakeAt <= run.now + PROBE_INTERVAL);
  }
});
