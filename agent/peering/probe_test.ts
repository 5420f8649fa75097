import assert from "node:assert/strict";
import fc from "fast-check";
import { NEVER_HEALTHY_LIMIT } from "./mod.ts";
import { PROBE_INTERVAL, PROBE_LIMIT, slotOf, startOfSlot } from "./health/mod.ts";
import { LOOPBACK, Run } from "./testing.ts";

/** A peer on the relay, healthy, after a direct way has failed. */
function fallenBack(): Run {
  const run = new Run();
  run.pass();
  run.passFor(NEVER_HEALTHY_LIMIT);
  run.healthyFor(4_000);
  assert.equal(run.last.method, "via-derp-relay");
  return run;
}

/** Passes, healthy, until the plan probes; the time that took. */
function untilProbe(run: Run, limit: number): number {
  const began = run.now;
  while (run.now - began < limit) {
    if (run.healthyFor(2000).code === "probing") return run.now - began;
  }
  return Infinity;
}

Deno.test("plan looks for a direct way again after some minutes and keeps it when it works", () => {
  const run = fallenBack();
  const took = untilProbe(run, PROBE_INTERVAL + 10_000);
  assert(took > 200_000 && took <= PROBE_INTERVAL, `${took}`);
  assert.equal(run.last.endpoint, "203.0.113.2:40000");
  // An idle path: keepalives are all there is to see.
  assert.equal(run.last.keepaliveSeconds, 1);
  run.answer("203.0.113.2:40000");
  run.healthyFor(PROBE_LIMIT);
  assert.equal(run.last.keepaliveSeconds, 20);
  assert.equal(run.last.method, "reflexive");
  assert.equal(run.last.code, "both-cone");
  assert.equal(run.healthyFor(600_000).method, "reflexive");
});

Deno.test("plan goes back to the relay when the look was in vain, and looks less often", () => {
  const run = fallenBack();
  let total = 0;
  for (let i = 0; i < 4; i++) {
    const took = untilProbe(run, 9 * PROBE_INTERVAL);
    assert(took < Infinity);
    total += took;
    run.passFor(PROBE_LIMIT + 2000); // nobody answers
    assert.equal(run.last.method, "via-derp-relay", `probe ${i}`);
    assert.equal(run.last.endpoint, LOOPBACK);
  }
  assert(total > 6 * PROBE_INTERVAL, `four looks in ${total / 60_000} min`);
});

Deno.test("plan ends a look in vain within a second when somebody waits for answers", () => {
  for (const [sent, comes, over] of [[5_000, 0, true], [200, 0, false], [5_000, 124, false]]) {
    const run = fallenBack();
    untilProbe(run, PROBE_INTERVAL + 10_000);
    // What is sent goes the way on trial; what comes is what the peer still sends the other way.
    run.pass(250);
    const { rxBytes, txBytes } = run.observed!;
    run.observed = { ...run.observed!, rxBytes: rxBytes + Number(comes) };
    run.observed.txBytes = txBytes + Number(sent);
    for (let t = 250; t < 750; t += 250) run.pass(250);
    const name = `${sent} bytes sent, ${comes} came`;
    assert.equal(run.last.method, over ? "via-derp-relay" : "reflexive", name);
    run.passFor(PROBE_LIMIT);
    assert.equal(run.last.history.at(-1)!.event, "probe-failed", name);
  }
});

Deno.test("plan knows after a look in vain that the relay was healthy before it", () => {
  const run = fallenBack();
  untilProbe(run, PROBE_INTERVAL + 10_000);
  const { observed } = run;
  run.passFor(PROBE_LIMIT);
  assert.equal(run.last.method, "via-derp-relay");
  // Nothing is sent and nothing comes: no reason to search, for as long as keepalives may take.
  run.observed = observed;
  run.passFor(40_000);
  assert.equal(run.last.method, "via-derp-relay");
  assert.equal(run.last.history.at(-1)!.event, "probe-failed");
});

Deno.test("plan shows life on a way that the peer tries first", () => {
  const run = fallenBack();
  run.answer("203.0.113.2:40000"); // the peer's probe, before this side's
  run.pass(2000);
  assert.equal(run.last.code, "peer-moved");
  assert.equal(run.last.keepaliveSeconds, 1);
  run.passFor(PROBE_LIMIT + 1000);
  assert.equal(run.last.keepaliveSeconds, 20);
});

Deno.test("plan of both sides probes in the same slot", () => {
  fc.assert(fc.property(fc.string(), fc.string(), fc.nat(1e9), (a, b, now) => {
    const slot = slotOf(a, b, now);
    assert.equal(slot, slotOf(b, a, now));
    assert(startOfSlot(a, b, slot) <= now && now < startOfSlot(a, b, slot + 1));
    assert.equal(slotOf(a, b, startOfSlot(a, b, slot)), slot);
  }));
});
