import assert from "node:assert/strict";
import fc from "fast-check";
import {
  aliasesOf,
  decodeTold,
  DRAIN,
  encodeTold,
  FRESH,
  type Heard,
  LOST,
  nextStage,
  type Stage,
  understand,
} from "./stages.ts";
import { rangesOf } from "../published/mod.ts";
import { markOf } from "../ways/mod.ts";

const STAGES: Stage[] = [0, 1, 2, 3, 4, 5];

Deno.test("what is told of a stage is heard as it was meant, and other words mean nothing", () => {
  for (const stage of STAGES) {
    for (const crosses of [true, false]) {
      for (const carrier of [0, 1, 255]) {
        const word = encodeTold({ stage, crosses, carrier });
        assert(word > 0 && word < 1 << 15);
        assert.deepEqual(decodeTold(word), { stage, crosses, carrier });
      }
    }
  }
  for (const word of [0, 7, 8, 1 << 12, 0xffff]) assert.equal(decodeTold(word), undefined);
});

Deno.test("two hosts understand each other when they are at most one stage apart, and seldom else", () => {
  for (const one of STAGES) {
    for (const other of STAGES) {
      assert.equal(understand(one, other), understand(other, one));
      if (Math.abs(one - other) <= 1) assert(understand(one, other), `${one}, ${other}`);
    }
  }
  for (const [one, other] of [[0, 5], [0, 2], [5, 3], [1, 4]] as [Stage, Stage][]) {
    assert(!understand(one, other), `${one}, ${other}`);
  }
});

Deno.test("a step waits for the peer, for what is under way, and for nobody who cannot be waited for", () => {
  const now = 1_000_000;
  const heard = (stage: Stage, more: Partial<Heard> = {}): Heard => ({
    ...{ stage, crosses: true, carrier: 1, since: now - DRAIN, at: now },
    ...more,
  });
  const next = (at: Stage, goal: 0 | 5, peer?: Heard, crosses = true) =>
    nextStage({ at, goal, heard: peer, crosses, enteredAt: now - 100, now });
  // The first step costs nothing; the others need a peer that is as far.
  assert.equal(next(0, 5, heard(0)), 1);
  assert.equal(next(1, 5, heard(0)), 1);
  assert.equal(next(1, 5, heard(1)), 2);
  assert.equal(next(5, 0, heard(5)), 4);
  assert.equal(next(4, 0, heard(5)), 4);
  assert.equal(next(4, 0, heard(4)), 3);
  for (const [at, goal, to] of [[2, 5, 3], [4, 5, 5], [3, 0, 2], [1, 0, 0]] as const) {
    assert.equal(next(at, goal, heard(at, { since: now - DRAIN + 1 })), at, "packets under way");
    assert.equal(next(at, goal, heard(at)), to);
  }
  // What was said long ago may not be so any more.
  const old = heard(3, { at: now - FRESH - 1 });
  assert.equal(next(3, 5, old), 3);
  const gone = { at: 3 as Stage, goal: 5 as const, heard: old, crosses: true, now: now + LOST };
  assert.equal(nextStage({ ...gone, enteredAt: now - 100 }), 5);
  // No stages between: both at the first one, then both over.
  assert.equal(next(0, 5, heard(0), false), 1);
  assert.equal(next(1, 5, heard(1), false), 5);
  assert.equal(next(4, 0, heard(4, { crosses: false })), 0);
  assert.equal(next(1, 5, heard(5)), 5, "it is there and understands nothing else");
  assert.equal(next(0, 5), 5);
  assert.equal(next(5, 0), 0);
});

/** Two hosts that hear each other late, and packets that arrive late, some of them very. */
class World {
  now = 1_000_000;
  readonly at: [Stage, Stage];
  readonly entered = [this.now, this.now];
  readonly goals: [0 | 5, 0 | 5];
  readonly heard: (Heard | undefined)[] = [undefined, undefined];
  readonly wire: { to: 0 | 1; stage: Stage; due: number }[] = [];
  lost = 0;

  constructor(at: 0 | 5, goal: 0 | 5) {
    this.at = [at, at];
    this.goals = [goal, goal];
  }

  run(ms: number, delay: () => number, paces: [number, number]): void {
    for (const end = this.now + ms; this.now < end; this.now += 10) {
      for (const i of [0, 1] as const) {
        const to = 1 - i as 0 | 1;
        this.wire.push({ to, stage: this.at[i]!, due: this.now + delay() });
        if (this.now % paces[i]! !== 0) continue;
        const stage = this.at[to]!, before = this.heard[i];
        this.heard[i] = {
          ...{ stage, crosses: true, carrier: 1, at: this.now },
          since: before?.stage === stage ? before.since : this.now,
        };
        const next = nextStage({
          at: this.at[i]!,
          goal: this.goals[i]!,
          heard: this.heard[i],
          crosses: true,
          enteredAt: this.entered[i]!,
          now: this.now,
        });
        if (next === this.at[i]) continue;
        assert.equal(Math.abs(next - this.at[i]!), 1, "it left a stage out");
        this.at[i] = next;
        this.entered[i] = this.now;
      }
      for (let k = this.wire.length; k-- > 0;) {
        const { to, stage, due } = this.wire[k]!;
        if (due > this.now) continue;
        this.wire.splice(k, 1);
        if (!takes(this.at[to]!, stage)) this.lost++;
      }
    }
  }
}

/** By the table at the top of `stages.ts`. */
function takes(receiver: Stage, sender: Stage): boolean {
  const kind = sender <= 1 ? "relay" : sender <= 3 ? "stand-ins" : "own";
  return {
    relay: receiver <= 2,
    "stand-ins": receiver >= 1 && receiver <= 4,
    own: receiver >= 3,
  }[kind];
}

Deno.test("no packet is lost between two hosts on their way, whenever they look and however late it comes", () => {
  const pace = fc.integer({ min: 1, max: 30 }).map((tens) => tens * 10);
  fc.assert(
    fc.property(fc.boolean(), pace, pace, fc.nat(DRAIN - 20), (up, one, other, late) => {
      const world = new World(up ? 0 : 5, up ? 5 : 0);
      const goal = world.goals[0];
      if (other % 20 === 0) world.goals[1] = world.at[1] as 0 | 5; // it wants so only later
      world.run(2_000, () => late, [one, other]);
      world.goals[1] = goal;
      world.run(8_000, () => late, [one, other]);
      assert.deepEqual(world.at, [goal, goal]);
      assert.equal(world.lost, 0);
    }),
    { numRuns: 60 },
  );
});

Deno.test("addresses of a VPC have stand-ins of their own, and only where they can", () => {
  const ranges = rangesOf(["100.64.0.0/10", "200::/64"]);
  assert.deepEqual(aliasesOf(["100.64.0.2/32", "200::2/128"], ranges), [
    { own: "100.64.0.2/32", alias: "244.64.0.2/32" },
    { own: "200::2/128", alias: "100::2/128" },
  ]);
  for (const other of ["10.0.0.1/32", "100.64.0.0/24", "x", "2001:db8::1/128"]) {
    assert.equal(aliasesOf(["100.64.0.2/32", other], ranges), undefined, other);
  }
  assert.equal(aliasesOf(["200::2/128"], rangesOf(["100.64.0.0/10", "200::/48"])), undefined);
  const four = fc.tuple(fc.nat(63), fc.nat(255), fc.nat(255))
    .map(([a, b, c]) => `100.${64 + a}.${b}.${c}/32`);
  fc.assert(fc.property(fc.uniqueArray(four, { maxLength: 20 }), (own) => {
    const aliases = aliasesOf(own, ranges)!.map(({ alias }) => alias);
    assert.equal(new Set([...aliases, ...own]).size, 2 * own.length);
  }));
});

Deno.test("a relay's mark is the same everywhere, and one of many", () => {
  const keys = Array.from({ length: 50 }, (_, i) => `${i}`.padEnd(43, "K") + "=");
  const marks = keys.map(markOf);
  assert(marks.every((mark) => mark >= 1 && mark <= 255));
  assert.deepEqual(marks, keys.map(markOf));
  assert(new Set(marks).size > 35);
});
