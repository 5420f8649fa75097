import assert from "node:assert/strict";
import { labRoot } from "./lab/dirs.ts";
import { cannotLab } from "./lab/support.ts";
import { descendantsOf, isAlive } from "./lab/proc.ts";

const DEMO = new URL("./demo.ts", import.meta.url).pathname;

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

for (const [signal, status, swept] of [["SIGINT", 130, true], ["SIGKILL", 137, false]] as const) {
  Deno.test(`the demo leaves no process behind when ${signal} ends it halfway`, async () => {
    if (await cannotLab()) return;
    const root = Deno.makeTempDirSync({ prefix: "nexd-demo-test-", dir: labRoot() });
    const child = start([], { TMPDIR: root });
    try {
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; !text.includes("✓ relay up");) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`the demo ended early: ${text}`);
        text += value;
      }
      const pids = descendantsOf(child.pid);
      assert.ok(pids.length > 5);
      child.kill(signal);
      const [result] = await Promise.all([child.status, reader.cancel()]);
      assert.equal(result.code, status);
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
