/**
 * Ours and the reference relay in alternation, under the same load generator on the same machine.
 *
 * @module
 */

import { type Peers } from "../../peers.ts";
import { type BenchRow, figureOf } from "../table.ts";
import { goalText, isMet, planRuns, type Run } from "./plan.ts";
import { startDerper, startOurs, type Subject } from "./subjects.ts";

/** How much is measured. */
export interface CompareOptions {
  /** Longer runs, and thousands of idle connections. */
  full?: boolean;
  /** How often each run is done against each relay. */
  rounds?: number;
  /** Only runs whose name holds this text. */
  only?: string;
  /** Of the control plane: on PostgreSQL instead of SQLite. */
  postgres?: boolean;
  /** Told what is being measured. */
  say?: (line: string) => void;
}

/** One line of the load generator's output. */
export type LoadResult = Record<string, number>;

/** Longest run of the load generator, in ms. */
const RUN_MS = 180_000;

const SUBJECTS = ["ours", "derper"] as const;
type Name = (typeof SUBJECTS)[number];

/**
 * Runs the load generator once.
 *
 * @throws when it fails, with what it said
 */
export async function load(
  program: string,
  subject: Subject,
  args: string[],
): Promise<LoadResult> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: ["-url", subject.url, "-pid", subject.pids().join(","), "-spread", ...args],
    env: { SSL_CERT_FILE: subject.ca },
    signal: AbortSignal.timeout(RUN_MS),
  }).output();
  const [out, said] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  if (code !== 0) {
    throw new Error(
      `Cannot measure ${subject.name} with ${args.join(" ")}: ${said || out || code}`,
    );
  }
  return JSON.parse(out!);
}

/** Measures both relays; about 2.5 minutes unless `full`. */
export async function compare(peers: Peers, options: CompareOptions = {}): Promise<BenchRow[]> {
  const { full = false, rounds = full ? 5 : 2, only = "", say = () => {} } = options;
  const directory = await Deno.makeTempDir({ prefix: "nexd-bench-relay-" });
  try {
    const limit = await descriptorLimit();
    const runs = planRuns(full).filter((run) => run.what.includes(only)).filter((run) => {
      if ((run.descriptors ?? 0) <= limit) return true;
      say(
        `left out: ${run.what}: it needs ${run.descriptors} descriptors, \`ulimit -Hn\` is ${limit}`,
      );
      return false;
    });
    const results = new Map<Run, Record<Name, LoadResult[]>>();
    for (const run of runs) results.set(run, { ours: [], derper: [] });
    const start = (name: Name) =>
      name === "ours" ? startOurs(directory) : startDerper(directory, peers.derper);
    for (let round = 0; round < rounds; round++) {
      say(`round ${round + 1} of ${rounds}`);
      await using ours = await start("ours");
      await using derper = await start("derper");
      const standing = { ours, derper };
      for (const run of runs) {
        // Who is first changes with each round: neither always finds the warmer machine.
        for (const name of round % 2 === 0 ? SUBJECTS : SUBJECTS.toReversed()) {
          let result: LoadResult;
          if (run.fresh) {
            await using fresh = await start(name);
            result = await load(peers.derpload, fresh, run.args);
          } else {
            result = await load(peers.derpload, standing[name], run.args);
          }
          results.get(run)![name].push(result);
        }
      }
    }
    const rows = runs.flatMap((run) => rowsOf(run, results.get(run)!));
    if ("workers".includes(only) || only.includes("workers")) {
      rows.push(...await compareWorkers(peers, directory, { rounds, secs: full ? 5 : 1.5, say }));
    }
    return rows;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function rowsOf(run: Run, results: Record<Name, LoadResult[]>): BenchRow[] {
  return run.figures.map(({ field, unit, goal }) => {
    const of = (name: Name) => figureOf(results[name].map((result) => result[field]!));
    const [ours, derper] = [of("ours"), of("derper")];
    const ratio = derper.median === 0 ? undefined : ours.median / derper.median;
    const met = goal && isMet(goal, ours.median, ratio);
    return {
      what: run.what,
      value: ours.median,
      unit,
      ours,
      reference: derper,
      ...(ratio !== undefined && { ratio }),
      ...(goal !== undefined && { goal: goalText(goal, unit) }),
      ...(met !== undefined && { met }),
    };
  });
}

/** What a packet costs that goes from one worker to another, beside one that stays in one. */
async function compareWorkers(
  peers: Peers,
  directory: string,
  { rounds, secs, say }: { rounds: number; secs: number; say: (line: string) => void },
): Promise<BenchRow[]> {
  say("two workers");
  const rows: BenchRow[] = [];
  await using relay = await startOurs(directory, 2);
  for (const pairs of [1, 8]) {
    const cost: Record<"same" | "across", number[]> = { same: [], across: [] };
    for (let round = 0; round < rounds; round++) {
      for (const place of ["same", "across"] as const) {
        const args = ["bulk", "-n", `${pairs}`, "-window", "128", "-secs", `${secs}`];
        const result = await load(peers.derpload, relay, [...args, "-place", place]);
        cost[place].push(result["relay_cpu_us_per_frame"]!);
      }
    }
    const [same, across] = [figureOf(cost.same), figureOf(cost.across)];
    const what = `2 workers, bulk, ${pairs} ${pairs === 1 ? "pair" : "pairs"}`;
    const ratio = across.median / same.median;
    rows.push(
      { what: `${what}, within one`, value: same.median, unit: "CPU us/frame", ours: same },
      {
        what: `${what}, across`,
        value: across.median,
        unit: "CPU us/frame",
        ours: across,
        ratio,
        goal: "ratio to within < 2",
        met: ratio < 2,
      },
    );
  }
  return rows;
}

/** The most descriptors a process may ask for here. */
async function descriptorLimit(): Promise<number> {
  const text = await Deno.readTextFile("/proc/self/limits");
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(text)?.[1];
  return hard === "unlimited" ? Infinity : Number(hard);
}
