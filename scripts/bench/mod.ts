/**
 * `deno task bench [PART…]`: what the packet path costs on this machine, in one table.
 *
 * - `relay`: the relay beside derper, where Go is there to build it: medians of `--rounds`, with the
 *   extremes, ratios and what is aimed at. `--full` measures longer and with thousands of
 *   connections; `--only TEXT` leaves out all runs without it in their name.
 * - `proxy`: the agent's proxy.
 * - `agent`: both agents and a relay, beside the reference agent where NEXD_TEST_GO_ALIASFIX and
 *   NEXD_TEST_DERPER name it and its relay, and beside direct wireguard-go. `--only` takes traffic,
 *   heap, crowd, absent or idle (the two kinds of crowd); `--congestion` another congestion control
 *   than cubic for the TCP inside.
 * - `control`: the control plane: devices created, long lists, event streams, its start. `--only` takes
 *   create, list, streams or start; with `--postgres` it has a PostgreSQL server of its own instead of a
 *   file.
 * - `startup`: the executable's start and an idle relay's memory, beside the source's.
 * - `tunnel`: the tunnel through the relay beside direct wireguard-go.
 *
 * `--json` prints the rows as JSON instead. Absolute figures are this machine's.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type AgentBenchOptions, benchAgent } from "./agent/mod.ts";
import { benchControl } from "./control/mod.ts";
import { benchProxy } from "./proxy.ts";
import { benchRelay, type CompareOptions } from "./relay/mod.ts";
import { benchStartup } from "./startup/mod.ts";
import { type BenchRow, table } from "./table.ts";
import { benchTunnel } from "./tunnel.ts";

/** What this kernel has. */
const CONGESTION_FILE = "/proc/sys/net/ipv4/tcp_available_congestion_control";

type Options = CompareOptions & AgentBenchOptions;

const PARTS: Record<string, (options: Options) => Promise<BenchRow[]>> = {
  relay: benchRelay,
  agent: benchAgent,
  proxy: () => benchProxy(),
  control: benchControl,
  startup: benchStartup,
  tunnel: () => benchTunnel(),
};

const print = (text: string) => void Deno.stdout.writeSync(new TextEncoder().encode(text));
const progress = (text: string) => void Deno.stderr.writeSync(new TextEncoder().encode(text));

/** Flags and parts, or why they cannot be used. */
function readArguments(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      full: { type: "boolean", default: false },
      rounds: { type: "string" },
      only: { type: "string" },
      congestion: { type: "string" },
      postgres: { type: "boolean", default: false },
    },
  });
  const unknown = positionals.find((name) => !Object.hasOwn(PARTS, name));
  if (unknown !== undefined) {
    throw new Error(`unknown part ${unknown}: choose ${Object.keys(PARTS).join(", ")}`);
  }
  if (values.rounds !== undefined && !/^[1-9]\d?$/.test(values.rounds)) {
    throw new Error(`cannot do ${values.rounds} rounds: give 1 to 99`);
  }
  const known = Deno.readTextFileSync(CONGESTION_FILE).trim().split(" ");
  if (values.congestion !== undefined && !known.includes(values.congestion)) {
    throw new Error(`unknown congestion control ${values.congestion}: choose ${known.join(", ")}`);
  }
  return { ...values, parts: positionals };
}

async function main(args: string[]): Promise<number> {
  let read: ReturnType<typeof readArguments>;
  try {
    read = readArguments(args);
  } catch (error) {
    progress(`bench: ${(error as Error).message}\n`);
    return 2;
  }
  const options: Options = {
    full: read.full,
    postgres: read.postgres,
    ...(read.rounds !== undefined && { rounds: Number(read.rounds) }),
    ...(read.only !== undefined && { only: read.only }),
    ...(read.congestion !== undefined && { congestion: read.congestion }),
    say: (line) => progress(`  ${line}\n`),
  };
  const rows: BenchRow[] = [];
  for (const [name, run] of Object.entries(PARTS)) {
    if (read.parts.length > 0 && !read.parts.includes(name)) continue;
    progress(`measuring ${name} …\n`);
    rows.push(...await run(options));
  }
  const machine = `${navigator.hardwareConcurrency} cores, Deno ${Deno.version.deno}, ` +
    `Linux ${Deno.osRelease()} ${Deno.build.arch}`;
  print(read.json ? JSON.stringify({ machine, rows }) + "\n" : `${machine}\n\n${table(rows)}\n`);
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
