/**
 * Interfaces, addresses and routes through iproute2. Every argument is checked before it gets here
 * (names by {@linkcode checkInterfaceName}, prefixes by `prefixes.ts`): lines of a batch are split at
 * white space by `ip`.
 *
 * @module
 */

import { AgentError, reasonOf, usageError } from "../errors.ts";
import { runIp } from "../platform/mod.ts";

/** Refuses what Linux or `ip` would take for something else. Throws a usage error. */
export function checkInterfaceName(name: string): void {
  if (
    !/^[A-Za-z0-9_=+.][A-Za-z0-9_=+.-]{0,14}$/.test(name) ||
    [".", "..", "lo", "all", "default"].includes(name)
  ) {
    throw usageError(
      `Cannot use ${JSON.stringify(name.slice(0, 40))} as an interface name: choose 1 to 15 of ` +
        `letters, digits and _=+.- with --interface`,
    );
  }
}

/** A line of a batch that `ip` refused. */
export interface BatchFailure {
  line: string;
  reason: string;
}

/** Runs all `lines` in one process, going on after a refused one, and returns the refused ones. */
export async function ipBatch(lines: string[]): Promise<BatchFailure[]> {
  if (lines.length === 0) return [];
  const { code, stderr } = await runIp(["-force", "-batch", "-"], lines.join("\n") + "\n");
  if (code === 0) return [];
  const failures: BatchFailure[] = [];
  let reason = "";
  for (const text of stderr.split("\n")) {
    const failed = /^Command failed -:(\d+)/.exec(text);
    if (!failed) reason = text.replace(/^(RTNETLINK answers|Error): /, "") || reason;
    else {
      failures.push({ line: lines[Number(failed[1]) - 1] ?? "", reason: reasonOf(reason) });
      reason = "";
    }
  }
  if (failures.length === 0) failures.push({ line: lines[0]!, reason: reasonOf(stderr) });
  return failures;
}

/** Whether this network namespace has an interface of that name. */
export async function linkExists(name: string): Promise<boolean> {
  return (await runIp(["link", "show", "dev", name])).code === 0;
}

/** A new network namespace has loopback down; the proxy's endpoints need it. */
export async function ensureLoopbackUp(): Promise<void> {
  const { stdout } = await runIp(["-json", "link", "show", "dev", "lo"]);
  if (/"flags":\[[^\]]*"UP"/.test(stdout)) return;
  const { code, stderr } = await runIp(["link", "set", "dev", "lo", "up"]);
  if (code !== 0) {
    throw new AgentError(
      `Cannot bring up the loopback interface: ${reasonOf(stderr)}; run ip link set lo up`,
    );
  }
}

/** Why interface `name` with this MTU cannot have IPv6; undefined when it can. */
export async function ipv6Obstacle(name: string, mtu: number): Promise<string | undefined> {
  if (mtu < 1280) return `its MTU ${mtu} is below 1280`;
  try {
    const text = await Deno.readTextFile(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`);
    return text.trim() === "0" ? undefined : "IPv6 is disabled on this host";
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? "this host has no IPv6" : undefined;
  }
}
