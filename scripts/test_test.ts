import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { labRoot } from "./lab/dirs.ts";

const PROBE = `Deno.test("probe", () => {
  const env = Deno.env.toObject();
  const names = Object.keys(env).filter((name) => name.startsWith("NEXD_")).sort();
  Deno.makeTempDirSync();
  Deno.writeTextFileSync(env.NEXD_TEST_RESULT, JSON.stringify({ names, tmp: env.TMPDIR }));
  if (env.NEXD_TEST_WAIT) return new Promise(() => setInterval(() => {}, 1000));
});
`;

/** A run of the tests with one test that tells its surroundings, in a temporary directory `root`. */
function run(root: string, env: Record<string, string> = {}) {
  Deno.writeTextFileSync(`${root}/probe_test.js`, PROBE);
  Deno.mkdirSync(`${root}/tmp`);
  const result = `${root}/result.json`;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      fileURLToPath(new URL("./test.ts", import.meta.url)),
      `${root}/probe_test.js`,
    ],
    env: {
      NO_COLOR: "1",
      NEXD_SERVICE_URL: "https://wrong.test",
      NEXD_TEST_RESULT: result,
      TMPDIR: `${root}/tmp`,
      ...env,
    },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  return { child, result, left: () => [...Deno.readDirSync(`${root}/tmp`)].map((e) => e.name) };
}

Deno.test("the runner keeps the user's settings from the tests and removes what they leave", async () => {
  const root = Deno.makeTempDirSync({ prefix: "runner-", dir: labRoot() });
  try {
    const { child, result, left } = run(root);
    const { code, stdout } = await child.output();
    assert.equal(code, 0);
    assert.match(new TextDecoder().decode(stdout), /\n1 passed, 0 failed\n$/);
    const { names, tmp } = JSON.parse(Deno.readTextFileSync(result));
    // Those that whoever runs this test has set come through too, as they should.
    const set = Object.keys(Deno.env.toObject()).filter((name) => name.startsWith("NEXD_TEST_"));
    assert.deepEqual(names.sort(), [...new Set(["NEXD_TEST_RESULT", ...set])].sort());
    assert.ok(tmp.startsWith(`${root}/tmp/nexd-test-`), tmp);
    assert.deepEqual(left(), []);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

Deno.test("the runner removes what the tests leave when it is terminated halfway", async () => {
  const root = Deno.makeTempDirSync({ prefix: "runner-", dir: labRoot() });
  try {
    const { child, result, left } = run(root, { NEXD_TEST_WAIT: "1" });
    const seen = async () => {
      const exists = () => [...Deno.readDirSync(root)].some((e) => result.endsWith(e.name));
      for (const end = Date.now() + 20_000; !exists() && Date.now() < end;) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await seen();
    assert.equal(left().length, 1);
    child.kill("SIGTERM");
    const { code } = await child.output();
    assert.equal(code, 143);
    assert.deepEqual(left(), []);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
