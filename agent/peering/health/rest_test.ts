import assert from "node:assert/strict";
import { LOOPBACK, Run } from "../testing.ts";
import { PATIENCE } from "./rest.ts";

/** A pair that only a relay brings together, the peer switched off. */
function run(peer: { online: boolean } = { online: false }): Run {
  const run = new Run({ symmetric: true }, { symmetric: true, ...peer });
  run.relaySince = run.now;
  return run;
}

Deno.test("rest: a peer that is away is called for a while, and then not before it calls", () => {
  const away = run();
  assert.equal(away.pass().keepaliveSeconds, 20);
  assert.equal(away.passFor(PATIENCE - 2_000).keepaliveSeconds, 20);
  // However seldom passes are: there is one then.
  assert.equal(away.wakeAt, away.relaySince! + PATIENCE);
  const plan = away.passFor(4_000);
  assert.equal(plan.keepaliveSeconds, 0);
  assert.deepEqual(plan.probes?.search, []);
  assert.equal(plan.endpoint, LOOPBACK);
  assert.match(plan.reason, /is away, and is not called/);
  // Nothing goes round and round meanwhile.
  const { appliedAt } = away.history.get(away.peer.publicKey)!;
  away.passFor(600_000);
  assert.equal(away.history.get(away.peer.publicKey)!.appliedAt, appliedAt);
  assert.equal(away.last.keepaliveSeconds, 0);
});

for (
  const [what, comes] of Object.entries<(run: Run) => void>({
    "the control plane says so": (run) => run.peer = { ...run.peer, online: true },
    "it is heard through a relay": (run) => run.heard = true,
    "there is a handshake": (run) => run.answer(),
    "its addresses change": (run) => run.peer = { ...run.peer, reflexive: "203.0.113.7:1" },
    "this host has another address": (run) =>
      run.self = { ...run.self, reflexive: "203.0.113.8:1" },
    "this host is at its relay anew": (run) => run.relaySince = run.now,
    "this host is not at its relay": (run) => run.relaySince = undefined,
  })
) {
  Deno.test(`rest: a peer is called at once when ${what}`, () => {
    const away = run();
    away.passFor(PATIENCE + 10_000);
    assert.equal(away.last.keepaliveSeconds, 0);
    comes(away);
    assert.equal(away.pass(2_000).keepaliveSeconds, 20);
    assert.equal(away.pass(2_000).keepaliveSeconds, 20);
  });
}

Deno.test("rest: a peer that was there is called from its last sign on, one that may be there always", () => {
  const met = run({ online: true });
  met.pass();
  met.healthyFor(60_000);
  met.peer = { ...met.peer, online: false };
  // By its handshake it is healthy for 210 s, by its bytes for 65 s.
  let called = 0;
  while (met.pass(2_000).keepaliveSeconds > 0) called += 2_000;
  assert(called >= PATIENCE && called <= 210_000 + PATIENCE, `${called} ms`);

  const silent = run({ online: true });
  for (let i = 0; i < 100; i++) assert(silent.passFor(10_000).keepaliveSeconds > 0);
});

Deno.test("rest: a host without a relay, and one that is the VPC's, goes on calling", () => {
  const alone = run();
  alone.relaySince = undefined;
  assert(alone.passFor(600_000).keepaliveSeconds > 0);
  const relay = run();
  relay.self = { ...relay.self, relay: true };
  assert(relay.passFor(600_000).keepaliveSeconds > 0);
});
