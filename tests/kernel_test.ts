/**
 * Kernel WireGuard for real, on machines whose own kernel has none: `NEXD_TEST_KERNELWG` names a
 * program that boots one that has, `PROGRAM run -t SECONDS SCRIPT PROJECT`: it runs SCRIPT as root
 * there, with this machine's files, the project as working directory and `deno` in PATH, and returns
 * the script's exit code.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { skip } from "../scripts/lab/support.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** The guest's processor is a slow one, and there is one of them. */
const SECONDS = 540;
/** What runs there, without type checks: that was done here. */
const TESTS = ["agent/wireguard/device_test.ts", "tests/kernel/guest_test.ts"];

async function cacheDir(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}

Deno.test("drivers and agents work on kernel WireGuard", async () => {
  const program = Deno.env.get("NEXD_TEST_KERNELWG");
  if (!program) return skip("NEXD_TEST_KERNELWG names no program that boots a kernel");
  const script = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(
      script,
      // wireguard-go has its tests on this machine.
      `export DENO_DIR='${await cacheDir()}'
set -e
deno test -A --no-check --filter '/^kernel/' ${TESTS.join(" ")} 2>&1
`,
    );
    const child = new Deno.Command(program, {
      args: ["run", "-t", String(SECONDS), script, ROOT],
      env: { DENO: Deno.execPath() },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    const { code, stdout, stderr } = await child.output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.equal(code, 0, text);
    assert.doesNotMatch(text, /skip: needs kernel WireGuard/);
    assert.match(text, /^ok \| \d{2,} passed/m, text);
  } finally {
    await Deno.remove(script);
  }
});
