import assert from "node:assert/strict";
import { MAX_EVENTS, withEvent } from "./events.ts";
import { PROBE_LIMIT, SUSPECT_AFTER } from "./health.ts";
import { NEVER_HEALTHY_LIMIT, type PathEvent } from "../mod.ts";
import { PROBE_INTERVAL } from "./slots.ts";
import { LOOPBACK, PEER_KEY, Run } from "../testing.ts";

const told = (run: Run) => run.last.history.map(({ event, method }) => `${event} ${method}`);

/** Bytes leave and none come, for so long. */
function silence(run: Run, ms: number): void {
  for (let t = 0; t < ms; t += 2000) {
    const { txBytes, ...rest } = run.observed!;
    run.observed = { ...rest, txBytes: txBytes + 1000 };
    run.pass(2000);
  }
}

Deno.test("plan tells what happened to a path, and when", () => {
  const run = new Run();
  run.pass();
  const began = run.now;
  run.healthyFor(4000);
  silence(run, 14_000);
  assert.equal(run.last.method, "via-derp-relay");
  run.answer(LOOPBACK);
  run.healthyFor(4000);
  run.peer = { ...run.peer, reflexive: "203.0.113.2:50000" };
  run.pass(2000);
  run.passFor(PROBE_LIMIT);
  assert.deepEqual(told(run), [
    "chosen reflexive",
    "healthy reflexive",
    "suspect reflexive",
    "chosen via-derp-relay",
    "healthy via-derp-relay",
    "device-changed via-derp-relay",
    "probe reflexive",
    "probe-failed via-derp-relay",
  ]);
  assert.deepEqual(run.last.history[0], { at: began, event: "chosen", method: "reflexive" });
  assert.deepEqual(
    run.last.history.map(({ at }) => at),
    run.last.history.map(({ at }) => at).sort((a, b) => a - b),
  );
});

Deno.test("plan notes a search anew when the peer has been healthy in between", () => {
  const run = new Run();
  run.pass();
  for (let i = 0; i < 2; i++) {
    run.answer("203.0.113.2:40000");
    run.healthyFor(4000);
    silence(run, 14_000);
  }
  assert.equal(told(run).filter((line) => line === "suspect reflexive").length, 2);
});

Deno.test("plan notes the search for a peer that is away once", () => {
  const run = new Run();
  run.pass();
  run.passFor(40 * NEVER_HEALTHY_LIMIT);
  assert.deepEqual(told(run), [
    "chosen reflexive",
    "failed reflexive",
    "chosen via-derp-relay",
    "failed via-derp-relay",
  ]);
});

Deno.test("withEvent keeps the newest events, and changes nothing it was given", () => {
  let events: readonly PathEvent[] = [];
  for (let at = 0; at < 100; at++) {
    const before = structuredClone(events), given = events;
    events = withEvent(events, { at, event: "healthy", method: "reflexive" });
    assert.deepEqual(given, before);
  }
  assert.equal(events.length, MAX_EVENTS);
  assert.equal(events.at(-1)!.at, 99);
});

Deno.test("plan keeps a working relay path when the device changes, and tries the rest beside it", () => {
  const run = new Run();
  run.pass();
  run.passFor(NEVER_HEALTHY_LIMIT);
  run.healthyFor(4000);
  run.peer = { ...run.peer, reflexive: "203.0.113.2:50000" };
  assert.equal(run.pass(2000).endpoint, "203.0.113.2:50000");
  assert.equal(run.last.code, "probing");
  // Nothing at the new address: back after seconds, not after the 30 s of a first search.
  run.pass(PROBE_LIMIT);
  assert.equal(run.last.endpoint, LOOPBACK);
  // What only names other prefixes is no reason to look at all.
  run.peer = { ...run.peer, allowedIps: ["100.64.0.2/32"] };
  assert.equal(run.pass(2000).endpoint, LOOPBACK);
  assert.deepEqual(run.last.allowedIps, ["100.64.0.2/32"]);
});

Deno.test("plan does not flap when a direct way comes and goes", () => {
  const run = new Run();
  run.pass();
  run.passFor(NEVER_HEALTHY_LIMIT);
  run.healthyFor(2000);
  let switches = 0;
  for (const end = run.now + 4 * 3_600_000; run.now < end;) {
    run.healthyFor(2000);
    if (run.last.code !== "probing") continue;
    // The direct way answers the probe, works for a minute and dies.
    switches++;
    run.answer("203.0.113.2:40000");
    run.healthyFor(60_000);
    assert.equal(run.last.method, "reflexive");
    silence(run, 20_000);
    assert.equal(run.last.method, "via-derp-relay");
    run.answer(LOOPBACK);
  }
  // Every 5 min it would be some 48.
  assert(switches >= 5 && switches <= 10, `${switches} switches in four hours`);
});

Deno.test("plan stays usable when a peer's address changes all the time", () => {
  for (const healthy of [true, false]) {
    const run = new Run();
    run.pass();
    run.passFor(NEVER_HEALTHY_LIMIT);
    assert.equal(run.last.method, "via-derp-relay");
    if (healthy) run.healthyFor(2000);
    let away = 0, relayed = 0;
    for (let i = 0; i < 1800; i++) {
      // Each 20 s, as often as it is measured.
      run.peer = { ...run.peer, reflexive: `203.0.113.2:${40_000 + Math.floor(i / 10)}` };
      if (!healthy) run.pass(2000);
      else if (run.last.code === "probing") run.pass(2000);
      else {
        run.answer(LOOPBACK);
        run.pass(2000);
      }
      if (run.last.method === "via-derp-relay") relayed++;
      else away++;
    }
    // A working path is left for probes only; a dead peer is looked for both ways.
    if (healthy) assert(away < 1800 / 20, `${away} of 1800 passes away from the relay`);
    else assert(relayed > 400 && away > 400, `${relayed} and ${away}`);
  }
});

Deno.test("plan waits for a relay that restarts instead of a way that has failed", () => {
  const run = new Run();
  run.pass();
  run.passFor(NEVER_HEALTHY_LIMIT);
  run.healthyFor(4000);
  for (let t = 0; t < 30_000; t += 2000) {
    silence(run, 2000);
    assert.equal(run.last.method, "via-derp-relay", `after ${t} ms`);
  }
  assert.equal(run.last.healthy, false);
  run.answer(LOOPBACK);
  assert.equal(run.pass(2000).healthy, true);
  // Away for longer it is left, though, before its 180 s are over.
  const since = run.now;
  while (run.last.method === "via-derp-relay" && run.now - since < 180_000) silence(run, 2000);
  assert.equal(run.last.method, "reflexive");
  assert(run.now - since < 60_000, `after ${run.now - since} ms`);
});

Deno.test("plan gives a new way its time, also when the one before was silent for long", () => {
  const run = new Run();
  run.pass();
  run.healthyFor(4000);
  silence(run, 14_000);
  const since = run.now;
  assert.equal(run.last.method, "via-derp-relay");
  silence(run, 10_000);
  assert.equal(run.last.method, "via-derp-relay");
  assert(!told(run).includes("suspect via-derp-relay"));
  silence(run, 4000);
  assert(told(run).includes("suspect via-derp-relay"), `after ${run.now - since} ms`);
});

Deno.test("plan looks as often as before once a direct way has lasted", () => {
  const run = new Run();
  run.pass();
  for (const [lasts, failures] of [[60_000, 1], [60_000, 2], [PROBE_INTERVAL + 4000, 0]] as const) {
    run.answer("203.0.113.2:40000");
    run.healthyFor(lasts);
    assert.equal(run.last.method, "reflexive");
    silence(run, 16_000);
    assert.equal(run.history.get(PEER_KEY)!.probesFailed, failures);
    run.answer(LOOPBACK);
    run.healthyFor(4000);
  }
});

Deno.test("plan asks to be called when a path turns suspect", () => {
  const run = new Run();
  run.pass();
  run.healthyFor(4000);
  silence(run, 2000);
  assert.equal(run.wakeAt, run.now + SUSPECT_AFTER);
  run.answer();
  run.pass(2000);
  assert.equal(run.wakeAt, Infinity);
});

Deno.test("plan asks to be called when both sides look up, and when a probe ends", () => {
  const run = new Run();
  run.pass();
  assert.equal(run.wakeAt, Infinity);
  run.passFor(NEVER_HEALTHY_LIMIT);
  run.healthyFor(2000);
  const { wakeAt } = run;
  assert(wakeAt > run.now && wakeAt <= run.now + PROBE_INTERVAL);
  while (run.now + 2000 < wakeAt) run.healthyFor(2000);
  assert.notEqual(run.last.code, "probing");
  run.answer(LOOPBACK);
  run.pass(wakeAt - run.now);
  assert.equal(run.last.code, "probing");
  assert.equal(run.wakeAt, wakeAt + PROBE_LIMIT);
  assert.equal(run.history.get(PEER_KEY)!.probe!.startedAt, wakeAt);
});
