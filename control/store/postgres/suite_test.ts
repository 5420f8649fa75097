import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type Postgres, startPostgres } from "../../../scripts/lab/postgres.ts";
import { skip } from "../../../scripts/lab/support.ts";

const ROOM = fileURLToPath(new URL("../../", import.meta.url));
/** Without the tests that choose their databases themselves, and what has nothing to do with one. */
const LEFT_OUT = [
  ...["config_test.ts", "run_test.ts", "server_test.ts"],
  ...["auth", "backup", "dashboard", "faults", "http"],
];

/** Files and folders of this room that have tests to run again. */
function subjects(): string[] {
  return [...Deno.readDirSync(ROOM)]
    .filter(({ name, isDirectory }) => isDirectory || name.endsWith("_test.ts"))
    .map(({ name }) => name).filter((name) => !LEFT_OUT.includes(name)).sort();
}

// Inside of itself it has nothing to add.
if (!Deno.env.has("NEXD_TEST_POSTGRES")) {
  Deno.test("the API's tests pass on PostgreSQL as they do on SQLite", async () => {
    let postgres: Postgres;
    try {
      postgres = await startPostgres();
    } catch (error) {
      return skip((error as Error).message);
    }
    try {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "test",
          "-A",
          "--no-check",
          "--parallel",
          `--ignore=${ROOM}store/postgres`,
          ...subjects(),
        ],
        cwd: ROOM,
        env: { NEXD_TEST_POSTGRES: postgres.url, NO_COLOR: "1", DENO_JOBS: "2" },
      }).output();
      const text = new TextDecoder().decode(stdout);
      assert.equal(code, 0, `${text}\n${new TextDecoder().decode(stderr)}`);
      const passed = Number(/(\d+) passed/.exec(text)?.[1]);
      assert.ok(passed > 50, `only ${passed} tests ran`);
    } finally {
      await postgres.stop();
    }
  });
}
