import assert from "node:assert/strict";
import { remembering } from "./memo.ts";

Deno.test("remembering works a text out once, also when the answer is undefined", () => {
  let made = 0;
  const find = remembering((text) => (made++, text === "a" ? { text } : undefined));
  assert.equal(find("a"), find("a"));
  assert.equal(find("b"), undefined);
  assert.equal(find("b"), undefined);
  assert.equal(made, 2);
});

Deno.test("remembering keeps no more texts than it may, no long one, and nothing that was thrown", () => {
  const made: string[] = [];
  const length = remembering((text) => {
    made.push(text);
    if (text === "bad") throw new Error("bad");
    return text.length;
  }, 2);
  for (const text of ["a", "b", "a", "c", "c", "a"]) length(text);
  assert.deepEqual(made, ["a", "b", "c", "a"]);
  const long = "x".repeat(65);
  length(long);
  length(long);
  for (let i = 0; i < 2; i++) assert.throws(() => length("bad"), /bad/);
  assert.deepEqual(made.slice(4), [long, long, "bad", "bad"]);
});
