import assert from "node:assert/strict";
import { figureOf, table } from "../table.ts";
import { goalText, isMet, planRuns } from "./plan.ts";

Deno.test("a figure is the middle of its runs when there are several", () => {
  assert.deepEqual(figureOf([3, 1, 2]), { median: 2, min: 1, max: 3 });
  assert.deepEqual(figureOf([4, 1]), { median: 2.5, min: 1, max: 4 });
});

Deno.test("a goal is met only when every bound is kept, and open when nothing was compared", () => {
  assert.equal(isMet({ ratioAtMost: 0.3 }, 2, 0.3), true);
  assert.equal(isMet({ ratioAtMost: 0.3 }, 2, 0.31), false);
  assert.equal(isMet({ ratioAtLeast: 2.5 }, 2, 2.4), false);
  assert.equal(isMet({ ratioAtMost: 0.22, atMost: 12 }, 13, 0.2), false);
  assert.equal(isMet({ ratioAtMost: 0.22, atMost: 12 }, 11, undefined), undefined);
  assert.equal(isMet({ atMost: 0 }, 0, undefined), true);
  assert.equal(goalText({ ratioAtMost: 0.22, atMost: 12 }, "KB"), "ratio <= 0.22, <= 12 KB");
});

Deno.test("the full plan holds every run of the short one when only numbers differ", () => {
  const names = (full: boolean) => new Set(planRuns(full).map((run) => run.what));
  const full = names(true);
  for (const name of names(false)) assert(full.has(name) || name.startsWith("idle"), name);
  assert([...full].some((name) => name.includes("10,000")));
});

Deno.test("the table says ours, the other, the ratio and the goal when there was a comparison", () => {
  const one = figureOf([1]);
  const text = table([{
    what: "bulk",
    value: 1,
    unit: "CPU us/frame",
    ours: one,
    reference: figureOf([3, 5]),
    ratio: 0.25,
    goal: "ratio <= 0.3",
    met: true,
  }]);
  assert.match(
    text,
    /^\s+ours\s+reference\s+ratio\s+goal\nbulk\s+CPU us\/frame\s+1\s+4 \(3-5\)\s+0\.25/,
  );
  assert.match(text, /met$/);
});
