import assert from "node:assert/strict";
import { loadCorpus } from "./corpus.ts";
import { fuzzDecoders, targets } from "./decoders.ts";
import { LiveFuzz } from "./live.ts";
import { cut, join, mutate, Random } from "./random.ts";

Deno.test("chance is the same when the seeds are, and another when one differs", () => {
  const words = (...seeds: number[]) => {
    const random = new Random(...seeds);
    return Array.from({ length: 8 }, () => random.word());
  };
  assert.deepEqual(words(1, 2), words(1, 2));
  assert.notDeepEqual(words(1, 2), words(1, 3));
  assert.notDeepEqual(words(1, 2), words(2, 2));
});

Deno.test("damage repeats and stays in its bound when the seed is the same", () => {
  const bytes = new Uint8Array(300).map((_, i) => i);
  for (let seed = 0; seed < 500; seed++) {
    const once = mutate(new Random(seed), bytes, 320);
    assert.deepEqual(once, mutate(new Random(seed), bytes, 320));
    assert(once.length <= 320);
    assert.deepEqual(join(...cut(new Random(seed), once)), once);
  }
});

Deno.test("no decoder and no live relay breaks in the fuzzer's first rounds", async () => {
  const corpus = await loadCorpus();
  const all = targets(corpus);
  for (let round = 0; round < 2; round++) assert(await fuzzDecoders(all, 1, round) > 1_000);
  await using live = await LiveFuzz.start(corpus);
  for (let round = 0; round < 5; round++) await live.batch(1, round);
  assert.equal(live.counts.batches, 5);
});
