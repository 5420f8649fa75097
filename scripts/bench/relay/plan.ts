/**
 * What is measured, and what is aimed at: each run of the load generator and the figures taken from
 * its result.
 *
 * @module
 */

/** A bound that a figure must keep. */
export interface Goal {
  /** Ours to the reference's, at most or at least. */
  ratioAtMost?: number;
  ratioAtLeast?: number;
  /** Ours alone, in the figure's unit. */
  atMost?: number;
}

/** One figure of a run. */
export interface FigurePlan {
  /** Name in the load generator's result. */
  field: string;
  unit: string;
  goal?: Goal;
}

/** One run of the load generator. */
export interface Run {
  what: string;
  args: string[];
  figures: FigurePlan[];
  /** Needs a relay that has served nothing: memory is compared. */
  fresh?: boolean;
  /** Descriptors that the relay and the load generator need each. */
  descriptors?: number;
}

const CPU = "CPU us/frame";

function flow(
  mode: "bulk" | "pairs",
  pairs: number,
  size: number,
  secs: number,
  figures: FigurePlan[],
): Run {
  const what = `${mode}, ${pairs} ${pairs === 1 ? "pair" : "pairs"}, ${size} B`;
  const window = mode === "bulk" ? ["-window", "128"] : [];
  const args = [mode, "-n", `${pairs}`, "-size", `${size}`, "-secs", `${secs}`, ...window];
  return { what, args, figures };
}

/** The runs: short, or all there is. */
export function planRuns(full: boolean): Run[] {
  const secs = full ? 5 : 1.5;
  const bulk: FigurePlan[] = [
    { field: "relay_cpu_us_per_frame", unit: CPU, goal: { ratioAtMost: 0.3 } },
    { field: "kpps", unit: "kframes/s", goal: { ratioAtLeast: 2.5 } },
  ];
  const single = (ratioAtMost: number): FigurePlan[] => [
    { field: "relay_cpu_us_per_frame", unit: CPU, goal: { ratioAtMost } },
    { field: "kpps", unit: "kframes/s" },
  ];
  const times = (goal: Goal): FigurePlan[] => [
    { field: "p50_us", unit: "us p50", goal },
    { field: "p99_us", unit: "us p99", goal },
  ];
  const packets = full ? "5000" : "1500";
  const runs: Run[] = [
    flow("bulk", 1, 1312, secs, bulk),
    flow("bulk", 8, 1312, secs, bulk),
    flow("bulk", 64, 1312, secs, bulk),
    flow("pairs", 1, 1312, secs, single(0.5)),
    flow("pairs", 1, 100, secs, single(0.5)),
    flow("pairs", 8, 1312, secs, single(0.65)),
    flow("pairs", 64, 1312, secs, single(0.65)),
    {
      what: "logins",
      args: ["logins", "-n", full ? "3000" : "800", "-c", "16"],
      figures: [
        { field: "relay_cpu_ms_per_login", unit: "CPU ms", goal: { ratioAtMost: 1 } },
        { field: "logins_s", unit: "logins/s", goal: { ratioAtLeast: 1 } },
      ],
    },
    {
      what: "round trip, idle",
      args: ["rtt", "-n", packets],
      figures: times({ ratioAtMost: 1 }),
    },
    {
      what: "round trip, beside 16 bulk pairs",
      args: ["rtt", "-n", full ? "2000" : "300", "-beside", "16"],
      figures: times({ ratioAtMost: 1 }),
    },
    {
      what: "50 bounce packets beside a flood",
      args: ["fair", "-n", "50", "-secs", full ? "5" : "2"],
      figures: [
        { field: "p99_us", unit: "us p99", goal: { atMost: 5000 } },
        { field: "lost", unit: "lost", goal: { atMost: 0 } },
      ],
    },
  ];
  for (const n of full ? [4000, 10_000] : [1000]) {
    runs.push({
      what: `idle connection of ${n.toLocaleString("en")}`,
      args: ["idle", "-n", `${n}`, "-settle", full ? "5s" : "1s"],
      figures: [{ field: "kb_per_conn", unit: "KB", goal: { ratioAtMost: 0.22, atMost: 12 } }],
      fresh: true,
      descriptors: n + 200,
    });
  }
  return runs;
}

/** A goal in words. */
export function goalText({ ratioAtMost, ratioAtLeast, atMost }: Goal, unit: string): string {
  return [
    ratioAtMost === undefined ? "" : `ratio <= ${ratioAtMost}`,
    ratioAtLeast === undefined ? "" : `ratio >= ${ratioAtLeast}`,
    atMost === undefined ? "" : `<= ${atMost} ${unit.split(" ")[0]}`,
  ].filter(Boolean).join(", ");
}

/** Whether a goal is reached; undefined where it takes a comparison that there is none of. */
export function isMet(goal: Goal, value: number, ratio: number | undefined): boolean | undefined {
  const { ratioAtMost, ratioAtLeast, atMost } = goal;
  if (atMost !== undefined && value > atMost) return false;
  if (ratioAtMost === undefined && ratioAtLeast === undefined) return true;
  if (ratio === undefined) return undefined;
  return ratio <= (ratioAtMost ?? Infinity) && ratio >= (ratioAtLeast ?? 0);
}
