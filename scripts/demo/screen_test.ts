import assert from "node:assert/strict";
import { Screen, wrap } from "./screen.ts";

function recorder({ live = false, color = false, width = Infinity } = {}) {
  let text = "";
  const write = (more: string) => void (text += more);
  const screen = new Screen({ write, live, color, width: () => width });
  return { screen, text: () => text };
}

Deno.test("a step is one plain line when the output is not a terminal", async () => {
  const { screen, text } = recorder();
  await screen.step("relay up", () => Promise.resolve("relay:443"));
  assert.match(text(), /^ +\d\.\d s ✓ relay up {12}relay:443\n$/);
  assert.equal(screen.steps[0]?.name, "relay up");
  assert.equal(screen.steps[0]?.ok, true);
});

Deno.test("a step that fails shows why, is recorded, and hands the error on", async () => {
  const { screen, text } = recorder();
  await assert.rejects(
    screen.step("relay up", () => Promise.reject(new Error("port in use"))),
    /port in use/,
  );
  assert.match(text(), /✗ relay up +port in use\n$/);
  assert.deepEqual(screen.steps.map(({ ok, detail }) => ({ ok, detail })), [
    { ok: false, detail: "port in use" },
  ]);
});

Deno.test("a running step is drawn over itself on a terminal, within its width", async () => {
  const { screen, text } = recorder({ live: true, color: true, width: 60 });
  await screen.step("path found", (report) => {
    report("x".repeat(100));
    return Promise.resolve("word ".repeat(12).trim());
  });
  assert.ok(text().startsWith("\r\x1b[K"));
  const shown = text().slice(text().lastIndexOf("\x1b[K") + 3);
  // deno-lint-ignore no-control-regex -- colours are control characters
  const lines = shown.replaceAll(/\x1b\[[\d;]*m/g, "").trimEnd().split("\n");
  assert.ok(lines.length > 1);
  for (const line of lines) assert.ok(line.length <= 60, line);
});

for (const live of [false, true]) {
  Deno.test(`a silenced screen shows nothing of its steps ${live ? "on" : "off"} a terminal`, async () => {
    const { screen, text } = recorder({ live });
    let seen = "";
    const step = screen.step("relay up", () => {
      screen.silence();
      seen = text();
      return Promise.reject(new Error("killed"));
    });
    await assert.rejects(step, /killed/);
    await screen.step("next", () => Promise.resolve("fine"));
    screen.block(["a status"]);
    assert.equal(text(), seen);
    screen.line("the end");
    assert.equal(text(), `${seen}the end\n`);
  });
}

Deno.test("wrap breaks at spaces and keeps every word", () => {
  assert.deepEqual(wrap("one two three", 7), ["one two", "three"]);
  assert.deepEqual(wrap("unbreakable", 4), ["unbreakable"]);
  assert.deepEqual(wrap("", 10), [""]);
  assert.deepEqual(wrap("any length", Infinity), ["any length"]);
});
