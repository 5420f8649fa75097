/**
 * `deno task test`: sets the machine up, runs the tests and ends with a line `N passed, N failed`.
 * Further arguments go to `deno test`; paths among them stand instead of the whole tree.
 *
 * ```sh
 * deno task test --filter NAT
 * deno task test scripts/lab
 * ```
 *
 * The rooms' own tests run first, in two processes side by side. Then those that build labs, one file
 * after the other: they have real traffic and time limits, which two cores cannot carry at once.
 *
 * The tests get a temporary directory of their own, which is removed with all they left in it, and
 * of the `NEXD_…` variables only `NEXD_TEST_…`.
 *
 * Types are not checked here: `deno task check` does that, once for all.
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

/**
 * Two runs side by side, about as long as each other, whose tests bear that; each in a process of its
 * own, as a umask or a working directory is a process's.
 */
const ROOMS = [
  ["relay", "proxy", "client", "serve", "command_line"],
  ["agent", "control"],
];
/** What comes after them, a file at a time. */
const LABS = ["scripts", "tests"];

const write = (line: string) => void Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));

/** How a run ended. */
interface Count {
  passed: number;
  failed: number;
  code: number;
}

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
  const own = args.some((arg) => !arg.startsWith("-") && exists(arg.split("#")[0]!));
  const running = new Set<Deno.ChildProcess>();
  // A terminal's Ctrl-C reaches the children by itself; a kill is meant for them as well.
  let ended = false;
  Deno.addSignalListener("SIGTERM", () => {
    ended = true;
    for (const child of running) child.kill("SIGTERM");
  });
  Deno.addSignalListener("SIGINT", () => {
    ended = true;
  });
  const run = async (name: string, paths: readonly string[], shown: boolean): Promise<Count> => {
    if (ended) return { passed: 0, failed: 0, code: 0 };
    const report = `${dir}/${name}.xml`;
    const child = new Deno.Command("sh", {
      args: [
        ...["-c", HOLDING, "sh", dir],
        ...[
          Deno.execPath(),
          "test",
          "-A",
          "--no-check",
          `--junit-path=${report}`,
          ...args,
          ...paths,
        ],
      ],
      clearEnv: true,
      env: { ...environmentWithoutNexd("NEXD_TEST_"), TMPDIR: dir },
      stdin: "null",
      ...(shown ? {} : { stdout: "piped", stderr: "piped" }),
    }).spawn();
    running.add(child);
    let code: number;
    if (shown) code = (await child.status).code;
    else {
      const output = await child.output();
      code = output.code;
      for (const bytes of [output.stdout, output.stderr]) {
        for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
      }
    }
    running.delete(child);
    const { passed, failed } = countTests(exists(report) ? Deno.readTextFileSync(report) : "");
    // A file that does not load fails the run without being a test.
    return { passed, failed: code !== 0 ? Math.max(1, failed) : failed, code };
  };
  try {
    const counts = own ? [await run("own", [], true)] : [
      ...await Promise.all(
        ROOMS.map((rooms, i) => run(`rooms-${i}`, rooms.filter(exists), i === 0)),
      ),
      await run("labs", LABS.filter(exists), true),
    ];
    const sum = (of: "passed" | "failed") => counts.reduce((all, count) => all + count[of], 0);
    write(`${sum("passed")} passed, ${sum("failed")} failed`);
    return counts.find(({ code }) => code !== 0)?.code ?? 0;
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
