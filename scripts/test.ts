/**
 * `deno task test`: sets the machine up, runs the tests and ends with a line `N passed, N failed`.
 * Further arguments go to `deno test`; paths among them stand instead of the whole tree.
 *
 * ```sh
 * deno task test --filter NAT
 * deno task test scripts/lab
 * ```
 *
 * Test files run one after the other: several of them build labs with real traffic and time limits,
 * which two cores cannot carry at once.
 *
 * The tests get a temporary directory of their own, which is removed with all they left in it, and
 * of the `NEXD_…` variables only `NEXD_TEST_…`.
 *
 * @module
 */

import { environmentWithoutNexd } from "./environment.ts";
import { isHeld, makeTestDir, removeStaleDirs } from "./lab/dirs.ts";
import { setUp, SetupError } from "./setup/mod.ts";

/** Longest wait for what the tests started to end with them, in ms. */
const END_MS = 2_000;
/** Becomes the tests, whose processes all hold the directory's lock. */
const HOLDING = 'exec 9<"$1/lock"; flock -s 9; shift; exec "$@"';

const ROOMS = ["relay", "proxy", "agent", "client", "control", "scripts", "tests"];

const write = (line: string) => void Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));

/** Passed and failed tests of a JUnit report. */
export function countTests(junit: string): { passed: number; failed: number } {
  const suites = junit.match(/<testsuites\b[^>]*>/)?.[0] ?? "";
  const number = (name: string) =>
    Number(suites.match(new RegExp(`\\b${name}="(\\d+)"`))?.[1] ?? 0);
  const failed = number("failures") + number("errors");
  return { passed: number("tests") - failed - (junit.match(/<skipped\b/g)?.length ?? 0), failed };
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
}

/** Runs the tests; returns the exit code. */
async function main(args: string[]): Promise<number> {
  Deno.chdir(new URL("..", import.meta.url).pathname);
  try {
    await setUp((line) => write(`set-up: ${line}`), { tests: true });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    write(`set-up: ${error.message}`);
    write("0 passed, 1 failed");
    return error.exitCode;
  }
  removeStaleDirs(); // of runs that were killed
  const { dir, lock } = makeTestDir();
  const report = `${dir}/report.xml`;
  const own = args.some((arg) => !arg.startsWith("-") && exists(arg.split("#")[0]!));
  const argv = [
    ...[Deno.execPath(), "test", "-A", `--junit-path=${report}`, ...args],
    ...(own ? [] : ROOMS.filter(exists)),
  ];
  const child = new Deno.Command("sh", {
    args: ["-c", HOLDING, "sh", dir, ...argv],
    clearEnv: true,
    env: { ...environmentWithoutNexd("NEXD_TEST_"), TMPDIR: dir },
  }).spawn();
  // A terminal's Ctrl-C reaches the child by itself; a kill is meant for it as well.
  const pass = () => child.kill("SIGTERM");
  Deno.addSignalListener("SIGTERM", pass);
  Deno.addSignalListener("SIGINT", () => {});
  try {
    const { code } = await child.status;
    const { passed, failed } = countTests(exists(report) ? Deno.readTextFileSync(report) : "");
    // A file that does not load fails the run without being a test.
    write(`${passed} passed, ${code !== 0 ? Math.max(1, failed) : failed} failed`);
    return code;
  } finally {
    lock.close();
    await removeWhenFree(dir);
  }
}

/** Removes the tests' directory. One that is still held is left to the next run's sweep. */
async function removeWhenFree(dir: string): Promise<void> {
  for (const end = Date.now() + END_MS; isHeld(dir) && Date.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (!isHeld(dir)) Deno.removeSync(dir, { recursive: true });
}

if (import.meta.main) Deno.exit(await main(Deno.args));
