import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "yaml";
import { jsonText, parseJson } from "./json.ts";
import { type Format, render } from "./render.ts";
import { cleanText, type View } from "./table.ts";

const VIEW: View = [
  { title: "ID", of: (row) => `${row.id}` },
  { title: "NAME", of: (row) => `${row.name ?? ""}`, free: true },
  { title: "RULES", of: (row) => Array.isArray(row.rules) ? row.rules.map(String) : "" },
  { title: "MORE", of: (row) => `${row.more ?? ""}`, full: true },
];
const ROWS = [
  { id: "a", name: "short", rules: ["tcp 22", "icmp"], more: 7 },
  { id: "bbb", name: "日本", rules: [] },
  { id: "c", name: "x".repeat(40) },
];

const shown = (value: unknown, format: Format, more = {}) =>
  render({ text: JSON.stringify(value), view: VIEW, done: "done so" }, {
    ...{ format, full: false, columns: 80 },
    ...more,
  });

Deno.test("a table is aligned by what a terminal shows, with several lines in a cell", async () => {
  assert.equal(
    await shown(ROWS, "column"),
    `
ID   NAME                                      RULES
a    short                                     tcp 22
                                               icmp
bbb  日本
c    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx

done so`.slice(1),
  );
  assert.equal(
    await shown(ROWS.slice(0, 2), "no-header", { full: true }),
    `
a    short  tcp 22  7
            icmp
bbb  日本`.slice(1),
  );
  assert.equal(await shown([], "column"), "ID  NAME  RULES\n\ndone so");
  assert.equal(await shown([], "no-header"), undefined);
});

Deno.test("free texts are cut to make a table fit, and only then", async () => {
  const lines = async (more: Record<string, unknown>) =>
    (await shown(ROWS, "column", more))!.split("\n").filter((line) => /^c /.test(line));
  assert.deepEqual(await lines({ columns: 40 }), [`c    ${"x".repeat(26)}…`]);
  assert.deepEqual(await lines({ columns: 20 }), [`c    ${"x".repeat(40)}`]);
  assert.deepEqual(await lines({ columns: 40, full: true }), [`c    ${"x".repeat(40)}`]);
});

Deno.test("JSON and YAML have the keys in order and leave out what has no value", async () => {
  const value = {
    revision: 3,
    id: "200::/64",
    none: null,
    settings: { b: null, a: "on" },
    list: [{ z: 1, at: "2030-01-31T12:00:00Z" }],
    empty: [],
  };
  assert.equal(
    await shown(value, "json"),
    `{
  "empty": [],
  "id": "200::/64",
  "list": [
    {
      "at": "2030-01-31T12:00:00Z",
      "z": 1
    }
  ],
  "revision": 3,
  "settings": {
    "a": "on",
    "b": null
  }
}`,
  );
  assert.equal(
    await shown(value, "yaml"),
    `empty: []
id: 200::/64
list:
- at: "2030-01-31T12:00:00Z"
  z: 1
revision: 3
settings:
  a: "on"
  b: null`,
  );
  assert.equal(await shown(value, "json-raw"), JSON.stringify(value));
  for (const format of ["json", "json-raw", "yaml", "no-header"] as const) {
    assert.equal(
      await render({ text: "", view: VIEW, done: "x" }, { format, full: false, columns: 80 }),
      undefined,
    );
  }
});

Deno.test("numbers of any size come and go as they are", async () => {
  const text = '{"value":{"n":123456789012345678901234567890,"x":0.5,"m":-9007199254740993}}';
  assert.equal(jsonText(parseJson(text)), text);
  const options = { full: false, columns: 80 };
  const out = await render({ text, view: VIEW }, { format: "yaml", ...options });
  assert.equal(
    out,
    'value:\n  m: -9007199254740993\n  "n": 123456789012345678901234567890\n  x: 0.5',
  );
});

Deno.test("what is not JSON, or too deep, is told in one sentence", async () => {
  for (const text of ["<html>", "{}{}", "[".repeat(1e5), "[".repeat(500) + "]".repeat(500)]) {
    for (const format of ["json", "json-raw", "yaml"] as const) {
      await assert.rejects(
        render({ text, view: VIEW }, { format, full: false, columns: 80 }),
        /is not JSON; check the service URL/,
      );
    }
  }
});

// deno-lint-ignore no-control-regex -- what must not reach a terminal
const HOSTILE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;

Deno.test("nothing that a stranger wrote steers the terminal, and programs get it whole", async () => {
  const texts = fc.string({ unit: "binary", maxLength: 20 });
  const values = fc.record({ id: texts, name: texts, "\u009b31m": texts, "a\rb": texts });
  const nasty = fc.constantFrom(
    "\x1b[2J",
    "\u009b31m",
    "a\rb",
    "\u202eabc",
    "x\u0085y",
    "\n- a",
    "#",
  );
  await fc.assert(
    fc.asyncProperty(values, nasty, async (value, name) => {
      const row = { ...value, name: value.name + name };
      for (const format of ["column", "no-header", "json", "json-raw", "yaml"] as const) {
        const text = (await shown([row], format))!;
        assert.ok(!HOSTILE.test(text), JSON.stringify(text));
        if (format.startsWith("json")) assert.deepEqual(JSON.parse(text), [row]);
        if (format === "yaml") assert.deepEqual(parse(text), [row]);
      }
      assert.ok(!/[\n]/.test(cleanText(row.name)));
    }),
    { numRuns: 200 },
  );
});
