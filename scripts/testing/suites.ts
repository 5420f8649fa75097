/** What a job does to the machine: works, mostly waits, or measures and wants nobody beside it. */
export type Kind = "busy" | "waiting" | "alone";

/** A run of `deno test`. */
export interface Job {
  /** What it is called where its end is told. */
  name: string;
  paths: string[];
  kind: Kind;
}

/**
 * - `rooms`: the rooms' own tests and those of the tree itself, which need no lab; quick
 * - `slow`: what needs no lab either, but starts servers of others or whole programs, or takes its time
 * - `labs`: the real parts in labs
 */
export const SUITES = ["rooms", "slow", "labs"] as const;
export type Suite = typeof SUITES[number];

/** Folders with rooms, and with labs. */
const ROOMS = ["relay", "proxy", "client", "serve", "command_line", "agent", "control"];
const LABS = ["scripts", "tests"];

/** Of {@linkcode LABS}, what needs no lab. */
const WITHOUT_LAB = [
  "scripts/bench/",
  "scripts/demo/",
  "scripts/lab/dirs_test.ts",
  "scripts/mesh/measure_test.ts",
  "scripts/release/",
  "scripts/package/",
  "scripts/parts/",
  "scripts/setup/",
  "scripts/soak/",
  "scripts/test_test.ts",
  "scripts/testing/",
  "tests/docs_test.ts",
  "tests/documents_test.ts",
  "tests/imports_test.ts",
  "tests/workflows_test.ts",
];

/** What needs no lab and is no part of `rooms` all the same; the longest first. */
const SLOW = [
  "control/store/postgres/suite_test.ts",
  "scripts/compile/compile_test.ts",
  "scripts/demo/memory_test.ts",
  "scripts/fuzz/",
  "control/run_test.ts",
  "relay/cert/acme/",
  "control/dashboard/access_browser_test.ts",
  "control/dashboard/accounts_browser_test.ts",
  "control/dashboard/sign_in_browser_test.ts",
  "control/dashboard/browser_test.ts",
  "control/dashboard/manage_browser_test.ts",
  "control/dashboard/network_browser_test.ts",
  "relay/command/acme_test.ts",
  "relay/http/hostile/",
];

/** Labs that hold a throughput or gaps of some milliseconds, which a neighbour would take from them. */
const ALONE = [
  "tests/firewall_test.ts",
  "tests/handshake_test.ts",
];

/** Labs that take longest: they start first, so that none of them is alone at the end. */
const FIRST = [
  "tests/relays_switch_test.ts",
  "tests/acceptance_test.ts",
  "tests/executable_test.ts",
  "tests/documents/control_test.ts",
  "tests/faults_test.ts",
  "tests/crossing_test.ts",
  "tests/path_probe_test.ts",
  "tests/nat_test.ts",
  "tests/relays_split_test.ts",
  "tests/recovery_test.ts",
  "tests/interop/mesh_test.ts",
  "tests/relayed_test.ts",
  "tests/remains_test.ts",
];

/** Every file and folder that the lists above name. */
export const NAMED: readonly string[] = [...WITHOUT_LAB, ...SLOW, ...ALONE, ...FIRST];

/** Files that a process of the rooms' own tests runs, at most: enough processes to share out. */
const BATCH = 12;

const within = (path: string, places: readonly string[]) =>
  places.find((place) => place.endsWith("/") ? path.startsWith(place) : path === place);

function* testFiles(folder: string): Generator<string> {
  for (const entry of [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory && entry.name !== "node_modules") yield* testFiles(path);
    else if (/_test\.tsx?$/.test(entry.name)) yield path;
  }
}

/** The suite that a test file is in. */
export function suiteOf(path: string): Suite {
  if (within(path, SLOW) !== undefined) return "slow";
  if (within(path, LABS.map((folder) => `${folder}/`)) === undefined) return "rooms";
  return within(path, WITHOUT_LAB) === undefined ? "labs" : "rooms";
}

/** The jobs of some suites for the tree in the working directory, in the order of their start. */
export function jobsOf(suites: readonly Suite[]): Job[] {
  const files = [...ROOMS, ...LABS].flatMap((folder) => [...testFiles(folder)]);
  const of = (suite: Suite) =>
    suites.includes(suite) ? files.filter((path) => suiteOf(path) === suite) : [];
  const slow = SLOW.map((place): Job => ({
    name: place,
    paths: of("slow").filter((path) => within(path, SLOW) === place),
    kind: "busy",
  })).filter(({ paths }) => paths.length > 0);
  const rooms = Map.groupBy(of("rooms"), (path) => path.split("/")[0]!);
  const batches = [...rooms].flatMap(([room, paths]) => {
    const count = Math.ceil(paths.length / BATCH);
    return Array.from({ length: count }, (_, i): Job => ({
      name: count === 1 ? room : `${room}, part ${i + 1} of ${count}`,
      paths: paths.slice(paths.length * i / count, paths.length * (i + 1) / count),
      kind: "busy",
    }));
  });
  const labs = of("labs").map((path): Job => ({
    name: path,
    paths: [path],
    kind: within(path, ALONE) === undefined ? "waiting" : "alone",
  }));
  const rank = ({ name, kind }: Job) =>
    kind === "alone" ? Infinity : FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length;
  labs.sort((a, b) => rank(a) - rank(b) || 0);
  return [...slow, ...batches, ...labs];
}
