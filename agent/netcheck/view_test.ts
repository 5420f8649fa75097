import assert from "node:assert/strict";
import fc from "fast-check";
import type { Verdict } from "./judge.ts";
import { fold, KEEP, KEEP_MOVED, type View } from "./view.ts";

const CONE: View = { address: "x:1", symmetric: false, goodAt: 0 };
const SYMMETRIC: View = { address: "x:1", symmetric: true, goodAt: 0 };

/** Folds verdicts one second apart; what the last one did. */
function after(view: View, ...verdicts: Verdict[]) {
  let folded = { view, changed: false, confirm: false };
  verdicts.forEach((verdict, i) => folded = fold(folded.view, verdict, { now: (i + 1) * 1000 }));
  const { address, symmetric, failing } = folded.view;
  return {
    is: `${address ?? "-"} ${symmetric === undefined ? "?" : symmetric ? "symmetric" : "cone"}`,
    changed: folded.changed,
    confirm: folded.confirm,
    failing: failing !== undefined,
  };
}

const calm = { changed: false, confirm: false, failing: false };

Deno.test("one odd answer changes nothing, and a change that is certain or seen twice is believed", () => {
  const none: Verdict = {};
  const agree = (address: string): Verdict => ({ address, symmetric: false });
  const differ = (address: string): Verdict => ({ address, symmetric: true });
  const single = (address: string): Verdict => ({ address });
  const changed = { ...calm, changed: true }, doubt = { ...calm, confirm: true };
  const failing = { ...calm, failing: true };
  const table: [string, View, Verdict[], string, typeof calm][] = [
    ["first answer", {}, [single("x:1")], "x:1 ?", changed],
    ["first round", {}, [agree("x:1")], "x:1 cone", changed],
    ["first round, symmetric", {}, [differ("x:1")], "x:1 symmetric", changed],
    ["the same", CONE, [agree("x:1")], "x:1 cone", calm],
    ["the same, one answer", CONE, [single("x:1")], "x:1 cone", calm],
    ["two agree on another", CONE, [agree("x:2")], "x:2 cone", changed],
    ["one says another", CONE, [single("x:2")], "x:1 cone", doubt],
    ["twice", CONE, [single("x:2"), single("x:2")], "x:2 cone", changed],
    ["then as before", CONE, [single("x:2"), single("x:1"), single("x:2")], "x:1 cone", doubt],
    ["each another", CONE, [single("x:2"), single("x:3")], "x:1 cone", doubt],
    ["different once", CONE, [differ("x:1")], "x:1 cone", doubt],
    ["different twice", CONE, [differ("x:1"), differ("x:7")], "x:7 symmetric", changed],
    ["different, then not", CONE, [differ("x:1"), agree("x:1")], "x:1 cone", calm],
    ["alike once", SYMMETRIC, [agree("x:1")], "x:1 symmetric", doubt],
    ["alike twice", SYMMETRIC, [agree("x:1"), agree("x:1")], "x:1 cone", changed],
    ["other port of a symmetric", SYMMETRIC, [differ("x:9")], "x:1 symmetric", calm],
    ["the same by one answer", SYMMETRIC, [single("x:9")], "x:1 symmetric", calm],
    ["other IP of a symmetric", SYMMETRIC, [differ("y:1")], "x:1 symmetric", doubt],
    ["twice", SYMMETRIC, [differ("y:1"), differ("y:2")], "y:2 symmetric", changed],
    ["kind becomes known", { address: "x:1", goodAt: 0 }, [agree("x:1")], "x:1 cone", changed],
    ["nobody", CONE, [none], "x:1 cone", failing],
    ["nobody for long", CONE, [none, none, none], "x:1 cone", failing],
    ["nobody, then as before", CONE, [none, agree("x:1")], "x:1 cone", calm],
    ["doubt outlives a failure", CONE, [single("x:2"), none, single("x:2")], "x:2 cone", changed],
    ["nobody from the start", {}, [none], "- ?", failing],
  ];
  for (const [name, view, verdicts, is, expected] of table) {
    assert.deepEqual(after(view, ...verdicts), { is, ...expected }, name);
  }
});

Deno.test("a view outlives failing rounds for a bounded time, shorter after a change of network", () => {
  const failed = (view: View, now: number, movedAt?: number) =>
    fold(view, {}, { now, movedAt, reason: "no way there" });
  const kept = failed(CONE, KEEP);
  assert.equal(kept.view.address, "x:1");
  assert.deepEqual(kept.view.failing, { since: KEEP, reason: "no way there" });
  const gone = failed(kept.view, KEEP + 1);
  assert(gone.changed);
  assert.equal(gone.view.address, undefined);
  assert.equal(gone.view.symmetric, undefined);
  assert.equal(gone.view.failing!.since, KEEP);
  assert(!failed(gone.view, KEEP + 2).changed);

  assert(!failed(CONE, 1_000 + KEEP_MOVED, 1_000).changed);
  assert(failed(CONE, 1_001 + KEEP_MOVED, 1_000).changed);
  // Confirmed since: the change is of the past.
  assert(!failed({ ...CONE, goodAt: 2_000 }, 1_001 + KEEP_MOVED, 1_000).changed);
});

Deno.test("a view holds only what a round has answered, and tells of every change", () => {
  const verdict: fc.Arbitrary<Verdict> = fc.oneof(
    fc.constant({}),
    fc.record({ address: fc.constantFrom("x:1", "x:2", "y:1") }),
    fc.record({ address: fc.constantFrom("x:1", "x:2", "y:1"), symmetric: fc.boolean() }),
  );
  fc.assert(fc.property(fc.array(verdict, { maxLength: 30 }), (verdicts) => {
    let view: View = {};
    const said = new Set<string>();
    verdicts.forEach((verdict, i) => {
      if (verdict.address !== undefined) said.add(verdict.address);
      const folded = fold(view, verdict, { now: i });
      const same = folded.view.address === view.address &&
        folded.view.symmetric === view.symmetric;
      assert.equal(folded.changed, !same);
      assert(!(folded.changed && folded.confirm));
      if (folded.view.address !== undefined) assert(said.has(folded.view.address));
      view = folded.view;
    });
  }));
});

Deno.test("what is known neither ages nor stays young when the clock on the wall is set", () => {
  for (const jump of [-86_400_000, 86_400_000]) {
    const known = fold({}, { address: "x:1", symmetric: false }, { now: 1_000, wall: 1e12 }).view;
    assert.equal(known.changedAt, 1e12);
    const wall = 1e12 + jump;
    const soon = fold(known, {}, { now: 2_000, wall });
    assert.equal(soon.view.address, "x:1");
    assert.equal(soon.view.failing?.since, wall);
    const moved = fold(soon.view, {}, { now: 30_000, wall, movedAt: 3_000 });
    assert.equal(moved.view.address, undefined);
    const late = fold(soon.view, {}, { now: 2_000 + 31 * 60_000, wall });
    assert.equal(late.view.address, undefined);
    assert.equal(late.view.changedAt, wall);
  }
});
