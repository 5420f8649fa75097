import assert from "node:assert/strict";
import { SharedReads } from "./shared_reads.ts";

Deno.test("whoever asks while a read is under way shares the next one, and never gets the old one", async () => {
  const reads = new SharedReads<number>();
  const under: PromiseWithResolvers<void>[] = [];
  const read = async () => {
    const number = under.push(Promise.withResolvers<void>());
    await under[number - 1]!.promise;
    return number;
  };
  const first = reads.read("a", read);
  const [second, third] = [reads.read("a", read), reads.read("a", read)];
  const other = reads.read("b", read);
  assert.equal(under.length, 2, "one of each name");
  under[1]!.resolve();
  assert.equal(await other, 2);
  under[0]!.reject(new Error("lost"));
  await assert.rejects(first, /lost/);
  assert.equal(under.length, 3, "one for both that waited");
  const fourth = reads.read("a", read);
  under[2]!.resolve();
  assert.deepEqual(await Promise.all([second, third]), [3, 3]);
  under[3]!.resolve();
  assert.equal(await fourth, 4);
  const fifth = reads.read("a", read);
  assert.equal(under.length, 5, "begins at once when none is under way");
  under[4]!.resolve();
  assert.equal(await fifth, 5);
});
