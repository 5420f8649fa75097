import assert from "node:assert/strict";
import { parseSettings, readSettings, settingsText } from "./settings.ts";

Deno.test("a service's settings come back as they were, and stay when none are given", () => {
  const variables = new Map([["NEXD_REG_KEY", 'a"b\\c\n$d']]);
  const parts = { words: ["router"], log: "/var/log/nexd.log" };
  const text = settingsText(parts, variables, undefined);
  const expected = { ...parts, variables: Object.fromEntries(variables) };
  assert.deepEqual(parseSettings(text), expected);
  assert.deepEqual(parseSettings(settingsText(parts, undefined, text)), expected);
  assert.deepEqual(parseSettings(settingsText(parts, new Map(), text))?.variables, {});
});

Deno.test("a service's settings that are damaged are refused", async () => {
  const good = { words: [], variables: {}, log: "/l" };
  for (
    const bad of [
      "",
      "[]",
      "null",
      JSON.stringify({ ...good, words: "x" }),
      JSON.stringify({ ...good, variables: { "a=b": "c" } }),
      JSON.stringify({ ...good, variables: { NEXD_A: 1 } }),
      JSON.stringify({ ...good, log: undefined }),
    ]
  ) assert.equal(parseSettings(bad), undefined, bad);
  await assert.rejects(readSettings("/nonexistent/nexd.json"), /run nexd install again/);
});
