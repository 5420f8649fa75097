/**
 * `deno task test`: sets the machine up, runs the tests and ends with what took longest and a line
 * `N passed, N failed`. `--suite=NAME` runs a part of them, see {@linkcode SUITES}. Further arguments
 * go to `deno test`; paths among them stand instead of the whole tree.
 *
 * ```sh
 * deno task test --filter NAT
 * deno task test scripts/lab
 * deno task test:rooms
 * ```
 *
 * Each job (some files, see scripts/testing/suites.ts) is a process of its own, as a umask or a working
 * directory is a process's, and runs beside others as far as the machine carries them. What it says
 * is shown when it has ended.
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
import {
  capacityOf,
  countTests,
  fileTimes,
  type Job,
  jobsOf,
  schedule,
  slowest,
  type Suite,
  SUITES,
} from "./testing/mod.ts";

/** Longest wait for what the tests started to end with them, in ms. */
const END_MS = 2_000;
/** Becomes the tests, whose processes all hold the directory's lock. */
const HOLDING = 'exec 9<"$1/lock"; flock -s 9; shift; exec "$@"';
/** So many files are told at the end as those that took longest. */
const TOLD = 10;
/** At most so many labs that failed beside others run again. */
const AGAIN = 6;

const writeBytes = (bytes: Uint8Array) => {
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
};
const write = (line: string) => writeBytes(new TextEncoder().encode(line + "\n"));

/** What is asked for: parts of the tests, and what `deno test` gets. */
interface Asked {
  suites: Suite[];
  args: string[];
  /** Whether the arguments name files: then these are the tests. */
  own: boolean;
}

function parse(given: string[]): Asked {
  const names = given.filter((arg) => arg.startsWith("--suite=")).map((arg) => arg.slice(8));
  const unknown = names.find((name) => !SUITES.some((suite) => suite === name));
  if (unknown !== undefined) {
    throw new SetupError(`--suite=${unknown}: there are ${SUITES.join(", ")}`);
  }
  const args = given.filter((arg) => !arg.startsWith("--suite="));
  return {
    suites: names.length > 0 ? SUITES.filter((suite) => names.includes(suite)) : [...SUITES],
    args,
    own: args.some((arg) => !arg.startsWith("-") && exists(arg.split("#")[0]!)),
  };
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
}

/** How a job ended. */
interface Result {
  passed: number;
  failed: number;
  code: number;
}

/** The processes of one run of the tests, and what came of them. */
class Run {
  readonly times = new Map<string, number>();
  readonly #dir: string;
  readonly #args: string[];
  /** How each job ended, the last time. */
  readonly #results = new Map<string, Result>();
  /** Of each running process, what it has said. */
  readonly #running = new Map<Deno.ChildProcess, { name: string; said: Uint8Array[] }>();
  #ended = false;
  #reports = 0;

  constructor(dir: string, args: string[]) {
    this.#dir = dir;
    this.#args = args;
  }

  /** Starts nothing more, and ends what runs. */
  end(signal?: Deno.Signal): void {
    this.#ended = true;
    if (signal !== undefined) { for (const child of this.#running.keys()) child.kill(signal); }
  }

  /** Runs a job to its end; shows it as it goes on where nothing runs beside it. */
  async job({ name, paths }: Omit<Job, "kind">, live = false): Promise<void> {
    if (this.#ended) return;
    const report = `${this.#dir}/report-${this.#reports++}.xml`;
    const began = performance.now();
    const argv = [Deno.execPath(), "test", "-A", "--no-check", `--junit-path=${report}`];
    const child = new Deno.Command("sh", {
      args: ["-c", HOLDING, "sh", this.#dir, ...argv, ...this.#args, ...paths],
      clearEnv: true,
      env: { ...environmentWithoutNexd("NEXD_TEST_"), TMPDIR: this.#dir },
      stdin: "null",
      ...(live ? {} : { stdout: "piped", stderr: "piped" }),
    }).spawn();
    const said: Uint8Array[] = [];
    this.#running.set(child, { name, said });
    if (!live) {
      await Promise.all([child.stdout, child.stderr].map(async (stream) => {
        for await (const bytes of stream) said.push(bytes);
      }));
    }
    const { code } = await child.status;
    this.#running.delete(child);
    const junit = exists(report) ? Deno.readTextFileSync(report) : "";
    const { passed, failed } = countTests(junit);
    for (const [path, seconds] of fileTimes(junit)) this.times.set(path, seconds);
    // A file that does not load fails the run without being a test.
    const result = { passed, failed: code !== 0 ? Math.max(1, failed) : failed, code };
    this.#results.set(name, result);
    if (live || (code === 0 && passed === 0)) return;
    const seconds = Math.round((performance.now() - began) / 1000);
    write(`\n-- ${name}: ${code === 0 ? "ok" : "FAILED"} after ${seconds} s`);
    for (const bytes of said) writeBytes(bytes);
  }

  /**
   * Runs labs that failed beside others once more, each alone, and believes that: what fails for want
   * of a processor says nothing of the code. Where many failed it is no want of anything.
   */
  async again(jobs: readonly Job[]): Promise<void> {
    const failed = jobs.filter(({ name, kind }) =>
      kind === "waiting" && (this.#results.get(name)?.code ?? 0) !== 0
    );
    if (failed.length > AGAIN) return;
    for (const job of failed) {
      if (this.#ended) return;
      write(`\n-- ${job.name} failed beside others; once more, alone`);
      await this.job(job);
    }
  }

  /** How all jobs ended together. */
  result(): Result {
    const all = [...this.#results.values()];
    const sum = (of: "passed" | "failed") => all.reduce((sum, result) => sum + result[of], 0);
    const code = all.find((result) => result.code !== 0)?.code ?? 0;
    return { passed: sum("passed"), failed: sum("failed"), code };
  }

  /** Shows what the running jobs have said so far. */
  tell(): void {
    for (const { name, said } of this.#running.values()) {
      if (said.length > 0) write(`\n-- ${name}: cut off`);
      for (const bytes of said.splice(0)) writeBytes(bytes);
    }
  }
}

/** Runs the tests; returns the exit code. */
async function main(given: string[]): Promise<number> {
  Deno.chdir(new URL("..", import.meta.url));
  let asked: Asked;
  try {
    asked = parse(given);
    await setUp((line) => write(`set-up: ${line}`), { tests: true });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    write(`set-up: ${error.message}`);
    write("0 passed, 1 failed");
    return error.exitCode;
  }
  const { suites, args, own } = asked;
  removeStaleDirs(); // of runs that were killed
  const { dir, lock } = makeTestDir();
  const run = new Run(dir, args);
  // A terminal's Ctrl-C reaches the children by itself; a kill is meant for them as well.
  Deno.addSignalListener("SIGTERM", () => {
    run.tell();
    run.end("SIGTERM");
  });
  Deno.addSignalListener("SIGINT", () => run.end());
  try {
    if (own) await run.job({ name: "own", paths: [] }, true);
    else {
      const jobs = jobsOf(suites);
      await schedule(jobs, (job) => run.job(job), capacityOf(navigator.hardwareConcurrency));
      await run.again(jobs);
      write(`\nThe files whose tests took longest:\n${slowest(run.times, TOLD).join("\n")}\n`);
    }
    const { passed, failed, code } = run.result();
    write(`${passed} passed, ${failed} failed`);
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
