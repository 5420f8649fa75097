import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { labRoot } from "./lab/dirs.ts";
import { cannotLab } from "./lab/support.ts";
import { descendantsOf, isAlive } from "./lab/proc.ts";

const DEMO = fileURLToPath(new URL("./demo.ts", import.meta.url));

function start(args: string[], env: Record<string, string> = {}) {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", DEMO, ...args],
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test("the demo refuses a wrong command line with one sentence and status 2", async () => {
  const { code, stdout, stderr } = await start(["--bogus"]).output();
  assert.equal(code, 2);
  assert.equal(stdout.length, 0);
  assert.equal(
    new TextDecoder().decode(stderr),
    "demo: --bogus is not an option of the demo; see --help\n",
  );
});

for (
  const [what, env] of [
    // Nothing can be fetched into an empty cache; no lab can stand in a directory that is not there.
    ["its set-up", { DENO_DIR: "cache", NPM_CONFIG_REGISTRY: "http://127.0.0.1:9" }],
    ["a step", { TMPDIR: "nowhere" }],
  ] as const
) {
  Deno.test(`the demo prints one JSON object that says why when ${what} fails`, async () => {
    const root = Deno.makeTempDirSync({ dir: labRoot() });
    try {
      const inRoot = Object.entries(env).map(([name, value]) =>
        [name, value.includes(":") ? value : `${root}/${value}`] as const
      );
      const { code, stdout } = await start(["--json"], Object.fromEntries(inRoot)).output();
      assert.equal(code, 1);
      const { ok, error } = JSON.parse(new TextDecoder().decode(stdout));
      assert.equal(ok, false);
      assert.match(error, /\w/);
    } finally {
      Deno.removeSync(root, { recursive: true });
    }
  });
}

for (const [signal, status, swept] of [["SIGINT", 130, true], ["SIGKILL", 137, false]] as const) {
  Deno.test(`the demo leaves no process behind when ${signal} ends it halfway`, async () => {
    if (await cannotLab()) return;
    const root = Deno.makeTempDirSync({ prefix: "nexd-demo-test-", dir: labRoot() });
    const child = start([], { TMPDIR: root });
    try {
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      while (!text.includes("✓ relay up")) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`the demo ended early: ${text}`);
        text += value;
      }
      const pids = descendantsOf(child.pid);
      assert.ok(pids.length > 5);
      child.kill(signal);
      for (let chunk; !(chunk = await reader.read()).done;) text += chunk.value;
      assert.equal((await child.status).code, status);
      // Steps that the interruption broke off did not fail.
      assert.doesNotMatch(text, /✗/);
      if (swept) assert.ok(text.endsWith("\rInterrupted; the lab is gone.\n"), text);
      for (const end = Date.now() + 5_000; pids.some(isAlive) && Date.now() < end;) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert.deepEqual(pids.filter(isAlive), []);
      const left = [...Deno.readDirSync(root)].map((entry) => entry.name);
      assert.equal(left.length, swept ? 0 : 1, left.join());
      await child.stderr.cancel();
    } finally {
      Deno.removeSync(root, { recursive: true });
    }
  });
}
