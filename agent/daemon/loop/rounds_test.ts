import assert from "node:assert/strict";
import { Pace } from "./pace.ts";
import { Rounds } from "./rounds.ts";

Deno.test("pace: a few peers every 2 s, a quiet crowd seldom, and what is due in time", () => {
  const pace = new Pace(), calm = { unsettled: false, due: Infinity };
  assert.equal(pace.wait({ peers: 0, ...calm }), 2_000);
  assert.equal(pace.wait({ peers: 40, ...calm }), 2_000);
  assert.equal(pace.wait({ peers: 100, ...calm }), 5_000);
  assert.equal(pace.wait({ peers: 100_000, ...calm }), 66_000);
  assert.equal(pace.wait({ peers: 1_000, unsettled: false, due: 300 }), 300);
  assert.equal(pace.wait({ peers: 3, unsettled: true, due: Infinity }), 250);
  assert.equal(pace.wait({ peers: 1_000, unsettled: true, due: Infinity }), 2_000);
});

Deno.test("pace: what the tunnel carries stirs, and so does what cannot be known", () => {
  const pace = new Pace();
  const answers = [5, 5, 6, 6, undefined, undefined, 6].map((carried) => pace.stirs(carried));
  assert.deepEqual(answers, [true, false, true, false, true, true, true]);
});

/** Rounds that run, with the number of passes so far. */
function running(stirs: () => boolean) {
  const rounds = new Rounds(), stop = new AbortController();
  let passes = 0, waiting = Promise.withResolvers<void>();
  const done = rounds.run(stop.signal, {
    pass: () => {
      passes++;
      waiting.resolve();
      waiting = Promise.withResolvers();
      return Promise.resolve(60_000);
    },
    stirs,
    mayRest: () => true,
  });
  return {
    rounds,
    passes: () => passes,
    next: () => waiting.promise,
    end: () => {
      stop.abort();
      return done;
    },
  };
}

Deno.test("rounds: a long wait ends when somebody wakes it, or something stirs", async () => {
  let looks = 0;
  const round = running(() => ++looks === 1);
  await Promise.resolve();
  assert.equal(round.passes(), 1);
  const woken = round.next();
  round.rounds.wake();
  await woken;
  assert.equal(round.passes(), 2);
  assert.equal(looks, 0);
  await round.next(); // in 2 s
  assert.equal(looks, 1);
  assert(round.rounds.beats(1_000));

  // Young enough, and then not any more.
  await round.rounds.fresh(0);
  assert.equal(round.passes(), 3);
  await new Promise((resolve) => setTimeout(resolve, 2_050));
  await round.rounds.fresh(5_000);
  assert.equal(round.passes(), 4);
  await round.end();
});

Deno.test("rounds: who asks for a fresh pass does not wait for one that hangs", async () => {
  const rounds = new Rounds(), stop = new AbortController();
  const hangs = Promise.withResolvers<number>();
  const done = rounds.run(stop.signal, {
    pass: () => hangs.promise,
    stirs: () => false,
    mayRest: () => true,
  });
  await new Promise((resolve) => setTimeout(resolve, 2_010));
  await rounds.fresh(10);
  stop.abort();
  hangs.resolve(0);
  await done;
});
