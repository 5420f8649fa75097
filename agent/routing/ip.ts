/**
 * Rules and routes through iproute2, a batch at a time. Lines are made of checked addresses, numbers
 * and interface names only.
 *
 * @module
 */
import { type RefusedLine, runIp, runIpBatch } from "../platform/mod.ts";

/** IP version. */
export type Family = 4 | 6;

/** Runs all lines, going on after a refused one; what exists already, or is gone already, is no refusal. */
export async function batch(family: Family, lines: readonly string[]): Promise<RefusedLine[]> {
  const refused = await runIpBatch(lines, [`-${family}`]);
  return refused.filter(({ line, reason }) => !isDone(line, reason));
}

function isDone(line: string, reason: string): boolean {
  return /^\w+ add /.test(line) ? reason.includes("File exists") : /^\w+ del /.test(line) &&
    /No such (file|process)|Cannot find device|FIB table does not exist/.test(reason);
}

/** Priorities of the rules between `low` and `high`, one for each rule. */
export async function rulesBetween(family: Family, low: number, high: number): Promise<number[]> {
  const { stdout } = await runIp([`-${family}`, "rule", "show"]);
  return stdout.split("\n").map((line) => parseInt(line)).filter((n) => n >= low && n <= high);
}

/** Lines of a table; none when there is no such table. */
export async function routesIn(family: Family, table: number): Promise<string[]> {
  const { code, stdout } = await runIp([`-${family}`, "route", "show", "table", String(table)]);
  return code === 0 ? stdout.split("\n").filter((line) => line.trim() !== "") : [];
}

/** Whether an interface has this IP version. */
export async function hasFamily(family: Family, interfaceName: string): Promise<boolean> {
  if (family === 4) return true;
  const path = `/proc/sys/net/ipv6/conf/${interfaceName}/disable_ipv6`;
  return (await Deno.readTextFile(path).catch(() => "1")).trim() === "0";
}
