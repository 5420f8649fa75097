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
 * @module
 */

import { setUp, SetupError } from "./setup/mod.ts";

const ROOMS = ["relay", "proxy", "agent", "control", "scripts", "tests"];

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
    await setUp((line) => write(`set-up: ${line}`));
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    write(`set-up: ${error.message}`);
    write("0 passed, 1 failed");
    return error.exitCode;
  }
  const report = Deno.makeTempFileSync({ suffix: ".xml" });
  const own = args.some((arg) => !arg.startsWith("-") && exists(arg.split("#")[0]!));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", `--junit-path=${report}`, ...args, ...(own ? [] : ROOMS.filter(exists))],
  }).spawn();
  // A terminal's Ctrl-C reaches the child by itself; a kill is meant for it as well.
  const pass = () => child.kill("SIGTERM");
  Deno.addSignalListener("SIGTERM", pass);
  Deno.addSignalListener("SIGINT", () => {});
  try {
    const { code } = await child.status;
    const { passed, failed } = countTests(Deno.readTextFileSync(report));
    // A file that does not load fails the run without being a test.
    write(`${passed} passed, ${code !== 0 ? Math.max(1, failed) : failed} failed`);
    return code;
  } finally {
    Deno.removeSync(report);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
