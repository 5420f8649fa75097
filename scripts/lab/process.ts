/**
 * Running commands on a lab's host.
 *
 * @module
 */

import { underLoad } from "./load.ts";
import { LabError } from "./errors.ts";
import { enterFlags, labEnv } from "./holder.ts";
import { childrenOf, descendantsOf, signal } from "./proc.ts";

/** What a finished command said. */
export interface RunResult {
  /** Exit code; 128 + n after signal n. */
  code: number;
  stdout: string;
  stderr: string;
}

/** How to run a one-shot command. */
export interface RunOptions {
  env?: Record<string, string>;
  /** Text for standard input; none by default. */
  input?: string;
  /** Killed after this many ms; 30,000 by default. */
  timeoutMs?: number;
}

/** How to start a long-running process. */
export interface SpawnOptions {
  env?: Record<string, string>;
  /** Name of the log in the lab's `log/`; made from the host and the command by default. */
  log?: string;
}

/** A long-running process on a host. */
export interface LabProcess {
  /** The real process, not its wrapper, by our pid numbers; 0 if it ended before it was seen. */
  readonly pid: number;
  /** Path of the file its output goes to. */
  readonly log: string;
  /** Whether it has not ended yet, as far as we have heard. */
  readonly running: boolean;
  /** Sends a signal to the process itself. */
  kill(signal: Deno.Signal): void;
  /** Lets the wrapper of a process that was stopped (SIGSTOP) go on, so that it sees its end. */
  release(): void;
  /** Resolves with the exit code; 128 + n after signal n. */
  readonly exited: Promise<number>;
  /** The last lines of its output. */
  tail(lines?: number): string;
  /**
   * The first line of this process's output that matches, past or future.
   *
   * @throws {LabError} when the process ends or the time (ms) is over before; the message ends with
   * the last lines of its output
   */
  waitFor(pattern: RegExp, timeoutMs: number): Promise<string>;
}

/** How often a log is looked at, in ms. The file is the only link: a kept lab has no reader. */
const POLL_MS = 15;

const IN_DIR = 'cd "$1" && shift && exec "$@"';
const LOGGED = 'exec >>"$1" 2>&1; cd "$2" && shift 2 && exec "$@"';

/** Runs one command to its end. */
export async function runIn(
  holder: number,
  argv: string[],
  { env, input, timeoutMs = 30_000 }: RunOptions = {},
): Promise<RunResult> {
  const child = new Deno.Command("nsenter", {
    args: [...enterFlags(holder), "--", "sh", "-c", IN_DIR, "sh", Deno.cwd(), ...argv],
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...labEnv(env),
  }).spawn();
  let late = false;
  let timer = setTimeout(function kill() {
    late = true;
    // Not nsenter: as parent it must reap the command, or the lab's end waits for the machine's init.
    for (const pid of descendantsOf(child.pid)) signal(pid, "SIGKILL");
    timer = setTimeout(kill, 20); // it may just be forking
  }, timeoutMs);
  try {
    const [status, stdout, stderr] = await Promise.all([
      child.status,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      input === undefined ? undefined : write(child.stdin, input),
    ]);
    if (late) {
      throw new LabError(
        `Cannot finish \`${argv.join(" ")}\`: it took more than ${timeoutMs} ms`,
      );
    }
    return { code: status.code, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

async function write(stream: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stream.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // It ended without reading; its exit code tells.
  }
}

/** Starts a process that logs to a file. */
export async function spawnIn(
  holder: number,
  argv: string[],
  log: string,
  env?: Record<string, string>,
): Promise<LabProcess> {
  const from = sizeOf(log);
  const child = new Deno.Command("nsenter", {
    args: [...enterFlags(holder), "--", "sh", "-c", LOGGED, "sh", log, Deno.cwd(), ...argv],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    ...labEnv(env),
    detached: true, // a kept lab's processes must not hear of our terminal
  }).spawn();
  child.unref(); // a kept lab's process must not hold us
  let over = false;
  const exited = child.status.then((status) => {
    over = true;
    return status.code;
  });
  const tail = (lines = 8) =>
    readFrom(log, from).trimEnd().split("\n").slice(-lines).join("\n  ") || "(nothing)";
  // nsenter stops with its child, and would wait stopped for ever.
  const release = () => void (over || signal(child.pid, "SIGCONT"));
  let pid: number | undefined;
  while (!over && (pid = childrenOf(child.pid)[0]) === undefined) await delay(1);
  return {
    pid: pid ?? 0,
    log,
    tail,
    get running() {
      return !over;
    },
    get exited() {
      if (!over) child.ref(); // whoever waits for the end keeps our event loop alive
      return exited;
    },
    kill(name) {
      if (pid === undefined || over) return;
      signal(pid, name);
      if (name === "SIGCONT" || name === "SIGKILL") release();
    },
    release,
    async waitFor(pattern, timeoutMs) {
      const began = Date.now();
      // A start on a busy machine takes its time; only what never comes is an error.
      const late = () =>
        Date.now() - began > timeoutMs && Date.now() - began > underLoad(timeoutMs);
      for (let seen = -1;;) {
        const ended = over; // read before the file: what it wrote last is then in the file
        const size = sizeOf(log);
        if (size !== seen) {
          const line = readFrom(log, from).split("\n").find((l) => pattern.test(l));
          if (line !== undefined) return line;
          seen = size;
        }
        const why = ended ? "it ended" : late() ? `${timeoutMs} ms passed` : "";
        if (why) {
          throw new LabError(
            `Cannot see ${pattern.source} from ${
              nameOf(log)
            }: ${why}; its output ends:\n  ${tail()}`,
          );
        }
        await delay(POLL_MS);
      }
    },
  };
}

/** What a process is called by: its log's name. */
function nameOf(log: string): string {
  return log.slice(log.lastIndexOf("/") + 1).replace(/\.log$/, "");
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

function readFrom(path: string, offset: number): string {
  try {
    return new TextDecoder().decode(Deno.readFileSync(path).subarray(offset));
  } catch {
    return "";
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
