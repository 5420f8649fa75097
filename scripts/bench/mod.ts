/**
 * `deno task bench [PART…]`: what the packet path costs on this machine, in one table.
 *
 * - `relay`: the relay beside derper, where Go is there to build it: medians of `--rounds`, with the
 *   extremes, ratios and what is aimed at. `--full` measures longer and with thousands of
 *   connections; `--only TEXT` leaves out all runs without it in their name.
 * - `proxy`: the agent's proxy.
 * - `agent`: both agents and a relay, beside the reference agent where NEXD_TEST_GO_ALIASFIX and
 *   NEXD_TEST_DERPER name it and its relay, and beside direct wireguard-go. `--only` takes traffic,
 *   heap or crowd.
 * - `control`: the control plane: devices created, long lists, event streams, its start. `--only` takes
 *   create, list, streams or start.
 * - `tunnel`: the tunnel through the relay beside direct wireguard-go.
 *
 * `--json` prints the rows as JSON instead. Absolute figures are this machine's.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { benchAgent } from "./agent/mod.ts";
import { benchControl } from "./control/mod.ts";
import { benchProxy } from "./proxy.ts";
import { benchRelay, type CompareOptions } from "./relay/mod.ts";
import { type BenchRow, table } from "./table.ts";
import { benchTunnel } from "./tunnel.ts";

const PARTS: Record<string, (options: CompareOptions) => Promise<BenchRow[]>> = {
  relay: benchRelay,
  agent: benchAgent,
  proxy: () => benchProxy(),
  control: benchControl,
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
    },
  });
  const unknown = positionals.find((name) => !Object.hasOwn(PARTS, name));
  if (unknown !== undefined) {
    throw new Error(`unknown part ${unknown}: choose ${Object.keys(PARTS).join(", ")}`);
  }
  if (values.rounds !== undefined && !/^[1-9]\d?$/.test(values.rounds)) {
    throw new Error(`cannot do ${values.rounds} rounds: give 1 to 99`);
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
  const options: CompareOptions = {
    full: read.full,
    ...(read.rounds !== undefined && { rounds: Number(read.rounds) }),
    ...(read.only !== undefined && { only: read.only }),
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
