/**
 * How long the executable takes to be of use, and what memory an idle relay has, beside the source run
 * by Deno in the same run.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { type BenchRow, type Figure, figureOf } from "../table.ts";
import { taskArguments } from "../../mesh/mod.ts";

const COMPILE = fileURLToPath(new URL("../../compile/mod.ts", import.meta.url));

/** What is aimed at: ms, ms, MB. */
const HELP_MS = 100, LISTEN_MS = 300, MEMORY_MB = 80;
/** After it serves; garbage of the start is gone by then. */
const IDLE_MS = 2_000;

/** A way to start the program. */
interface Subject {
  /** The command before the arguments of the agent's command line. */
  nexd: string[];
  /** The command before the arguments of a relay. */
  relay: string[];
  env: Record<string, string>;
}

/** Options of {@linkcode benchStartup}. */
export interface StartupOptions {
  /** Starts that each figure is the median of. */
  rounds?: number;
  say?(line: string): void;
}

/**
 * Measures the executable that NEXD_TEST_EXECUTABLE names, or one that it makes, after it has unpacked
 * itself and run once.
 *
 * @throws {Error} when it does not start
 */
export async function benchStartup(
  { rounds = 9, say = () => {} }: StartupOptions,
): Promise<BenchRow[]> {
  const dir = await Deno.makeTempDir({ prefix: "nexd-startup-" });
  try {
    const given = Deno.env.get("NEXD_TEST_EXECUTABLE");
    const path = given ?? `${dir}/nexd`;
    if (given === undefined) {
      say("making an executable");
      await output([Deno.execPath(), "run", "-A", COMPILE, "--kind", "unpacking", "-o", path]);
    }
    const ours: Subject = {
      ...{ nexd: [path], relay: [path, "relayderp"] },
      env: { NEXD_UNPACK_DIR: `${dir}/cache` },
    };
    const [deno, home] = [Deno.execPath(), Deno.env.get("HOME") ?? "/"];
    const source: Subject = {
      nexd: [deno, ...taskArguments("agent")],
      relay: [deno, ...taskArguments("relay")],
      env: { HOME: home, PATH: Deno.env.get("PATH") ?? "" },
    };
    const unpacked = performance.now();
    await output([...ours.nexd, "version"], ours.env);
    const rows: BenchRow[] = [{
      what: "first start, which unpacks",
      value: performance.now() - unpacked,
      unit: "ms",
    }];
    const compare = (what: string, unit: string, figures: Figure[], limit?: number) => {
      const [mine, theirs] = figures as [Figure, Figure];
      rows.push({
        ...{ what, unit, value: mine.median, ours: mine, reference: theirs },
        ratio: mine.median / theirs.median,
        ...(limit === undefined ? {} : { goal: `<= ${limit}`, met: mine.median <= limit }),
      });
    };
    say("nexd --help");
    const help = (subject: Subject) => () => timed([...subject.nexd, "--help"], subject.env);
    compare("nexd --help", "ms", await inTurns(rounds, help(ours), help(source)), HELP_MS);
    for (const workers of ["1", "2"]) {
      const few = `${workers} process${workers === "1" ? "" : "es and their supervisor"}`;
      say(`a relay, ${few}`);
      const seen: Idle[][] = [[], []];
      for (let i = 0; i <= rounds; i++) {
        for (const [at, subject] of [ours, source].entries()) {
          // Memory is the same each time, and one look at it takes long.
          const idle = await startRelay(subject, workers, dir, i <= 3 ? IDLE_MS : 0);
          if (i > 0) seen[at]!.push(idle); // the first start fills V8's cache
        }
      }
      const figures = (pick: (idle: Idle) => number | undefined) =>
        seen.map((runs) => figureOf(runs.map(pick).filter((x) => x !== undefined)));
      const one = workers === "1";
      compare(`relay listens, ${few}`, "ms", figures((idle) => idle.ms), LISTEN_MS);
      compare(
        `idle relay's PSS, ${few}`,
        "MB",
        figures((idle) => idle.pss),
        one ? MEMORY_MB : undefined,
      );
      compare(
        `idle relay's RSS, ${few}`,
        "MB",
        figures((idle) => idle.rss),
        one ? MEMORY_MB : undefined,
      );
    }
    return rows;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function inTurns(rounds: number, ...runs: (() => Promise<number>)[]): Promise<Figure[]> {
  const values: number[][] = runs.map(() => []);
  for (let i = 0; i <= rounds; i++) {
    for (const [at, run] of runs.entries()) {
      const value = await run();
      if (i > 0) values[at]!.push(value);
    }
  }
  return values.map(figureOf);
}

async function output([command, ...args]: string[], env?: Record<string, string>): Promise<void> {
  const { code, stderr } = await new Deno.Command(command!, {
    args,
    ...(env === undefined ? {} : { env, clearEnv: true }),
  }).output();
  if (code !== 0) throw new Error(`Cannot run ${command}: ${new TextDecoder().decode(stderr)}`);
}

async function timed(argv: string[], env: Record<string, string>): Promise<number> {
  const from = performance.now();
  await output(argv, env);
  return performance.now() - from;
}

/** One start of a relay. */
interface Idle {
  /** From the start to the line that says that it listens. */
  ms: number;
  /** Of all its processes, in MB; undefined where it was not waited for. */
  pss: number | undefined;
  rss: number | undefined;
}

async function startRelay(
  { relay, env }: Subject,
  workers: string,
  dir: string,
  idleMs: number,
): Promise<Idle> {
  const [command, ...args] = [
    ...[
      ...relay,
      "--hostname",
      "localhost",
      "--certmode",
      "selfsigned",
      "--certdir",
      `${dir}/certs`,
    ],
    ...["-c", `${dir}/key`, "--run-dir", `${dir}/run`, "--addr", "127.0.0.1:0", "--stun=false"],
    ...["--http-port", "-1", "--json", "--workers", workers],
  ];
  const from = performance.now();
  const child = new Deno.Command(command!, {
    ...{ args, env, clearEnv: true },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    let said = "";
    for await (
      const chunk of child.stdout.pipeThrough(new TextDecoderStream()).values({
        preventCancel: true,
      })
    ) {
      said += chunk;
      if (said.includes("\n")) break;
    }
    const ms = performance.now() - from;
    if (!said.includes('"listening"')) throw new Error(`Cannot start a relay: ${said}`);
    if (idleMs === 0) return { ms, pss: undefined, rss: undefined };
    await new Promise((resolve) => setTimeout(resolve, idleMs));
    return { ms, pss: memory(child.pid, "Pss"), rss: memory(child.pid, "Rss") };
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await child.stdout.cancel().catch(() => {});
  }
}

/** Of a process and its children, in MB. */
function memory(pid: number, of: "Pss" | "Rss"): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  const own = Number(text.match(new RegExp(`^${of}:\\s+(\\d+) kB`, "m"))![1]) * 1024 / 1e6;
  const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim();
  const threads = [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => name);
  const started = new Set(
    threads.flatMap((thread) =>
      thread === String(pid) ? children.split(" ") : Deno.readTextFileSync(
        `/proc/${pid}/task/${thread}/children`,
      ).trim().split(" ")
    ).filter((child) => child !== ""),
  );
  return [...started].reduce((sum, child) => sum + memory(Number(child), of), own);
}
