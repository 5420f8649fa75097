/**
 * `deno task bench`: what the packet path costs on this machine, in one table.
 *
 * `--json` prints an array of rows instead. Absolute figures are this machine's; the last rows give
 * the tunnel through the relay beside direct wireguard-go, measured in the same run.
 *
 * @module
 */

import { benchProxy } from "./proxy.ts";
import { benchRelay, type BenchRow } from "./relay.ts";
import { benchTunnel } from "./tunnel.ts";

const PARTS = { relay: benchRelay, proxy: benchProxy, tunnel: benchTunnel };

const print = (text: string) => void Deno.stdout.writeSync(new TextEncoder().encode(text));
const progress = (text: string) => void Deno.stderr.writeSync(new TextEncoder().encode(text));

function format(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

/** Rows as aligned columns. */
function table(rows: BenchRow[]): string {
  const wide = Math.max(...rows.map((row) => row.what.length));
  const figures = rows.map((row) => format(row.value));
  const right = Math.max(...figures.map((text) => text.length));
  return rows.map((row, i) =>
    `${row.what.padEnd(wide)}  ${figures[i]!.padStart(right)} ${row.unit}`
  ).join("\n");
}

async function main(args: string[]): Promise<number> {
  const json = args.includes("--json");
  const names = args.filter((arg) => arg !== "--json");
  const unknown = names.find((name) => !Object.hasOwn(PARTS, name));
  if (unknown !== undefined) {
    progress(`bench: unknown part ${unknown}: choose ${Object.keys(PARTS).join(", ")}\n`);
    return 2;
  }
  const rows: BenchRow[] = [];
  for (const [name, run] of Object.entries(PARTS)) {
    if (names.length > 0 && !names.includes(name)) continue;
    progress(`measuring ${name} …\n`);
    rows.push(...await run());
  }
  const machine = `${navigator.hardwareConcurrency} cores, Deno ${Deno.version.deno}, ` +
    `Linux ${Deno.osRelease()} ${Deno.build.arch}`;
  print(json ? JSON.stringify({ machine, rows }) + "\n" : `${machine}\n\n${table(rows)}\n`);
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
