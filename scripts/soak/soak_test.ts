import assert from "node:assert/strict";
import { grown, type Sample } from "./mod.ts";

const sample = (rss: number, handles = 100) => ({ rss, handles }) as Sample;

Deno.test("a relay held still when it grew only in the first fifth", () => {
  const samples = [80, 130, 131, 129, 130, 132, 130, 129, 131, 130].map((mb) => sample(mb * 1e6));
  assert.equal(grown(samples), undefined);
});

Deno.test("a relay has grown when the last half lies above the first fifth's bound", () => {
  const samples = Array.from({ length: 20 }, (_, i) => sample(100e6 + i * 10e6));
  assert.match(grown(samples)!, /^resident memory grew from 130000000 to/);
  const leaking = Array.from({ length: 20 }, (_, i) => sample(100e6, 100 + i * 40));
  assert.match(grown(leaking)!, /^descriptors grew/);
});
