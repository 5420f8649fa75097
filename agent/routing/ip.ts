/**
 * Rules and routes through iproute2, a batch at a time. Lines are made of checked addresses, numbers
 * and interface names only.
 *
 * @module
 */
import { reasonOf } from "../errors.ts";
import { runIp } from "../platform/mod.ts";

/** IP version. */
export type Family = 4 | 6;

/** A line that `ip` refused. */
interface Refused {
  line: string;
  reason: string;
}

/** Runs all lines, going on after a refused one; what exists already, or is gone already, is no refusal. */
export async function batch(family: Family, lines: readonly string[]): Promise<Refused[]> {
  if (lines.length === 0) return [];
  const { code, stderr } = await runIp(
    [`-${family}`, "-force", "-batch", "-"],
    lines.join("\n") + "\n",
  );
  if (code === 0) return [];
  const refused: Refused[] = [];
  let reason = "";
  for (const text of stderr.split("\n")) {
    const failed = /^Command failed -:(\d+)/.exec(text);
    if (failed === null) reason = text.replace(/^(RTNETLINK answers|Error): /, "") || reason;
    else {
      const line = lines[Number(failed[1]) - 1] ?? "";
      if (!isDone(line, reason)) refused.push({ line, reason: reasonOf(reason) });
      reason = "";
    }
  }
  return refused;
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
