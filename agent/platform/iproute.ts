/**
 * Running iproute2. Callers check every argument first: lines of a batch are split at white space.
 *
 * @module
 */

import { reasonOf } from "../errors.ts";
import { type CommandResult, runCommand } from "./command.ts";

/** Runs `ip`; `input` goes to its standard input. Throws only when it cannot run or hangs. */
export function runIp(args: string[], input?: string): Promise<CommandResult> {
  return runCommand("ip", args, {
    ...(input !== undefined && { input }),
    remedy: "run apt-get install iproute2",
  });
}

/** A line of a batch that `ip` refused. */
export interface RefusedLine {
  line: string;
  reason: string;
}

/**
 * Runs all `lines` in one process, going on after a refused one, and returns the refused ones.
 *
 * @param options flags in front, such as `-6`
 */
export async function runIpBatch(
  lines: readonly string[],
  options: string[] = [],
  run: typeof runIp = runIp,
): Promise<RefusedLine[]> {
  if (lines.length === 0) return [];
  const { code, stderr } = await run(
    [...options, "-force", "-batch", "-"],
    lines.join("\n") + "\n",
  );
  if (code === 0) return [];
  const refused: RefusedLine[] = [];
  let reason = "";
  for (const text of stderr.split("\n")) {
    const failed = /^Command failed -:(\d+)/.exec(text);
    if (!failed) reason = text.replace(/^(RTNETLINK answers|Error): /, "") || reason;
    else {
      refused.push({ line: lines[Number(failed[1]) - 1] ?? "", reason: reasonOf(reason) });
      reason = "";
    }
  }
  // Another `ip` than iproute2's, or one that could not begin: nothing was done.
  if (refused.length > 0) return refused;
  return lines.map((line) => ({ line, reason: reasonOf(stderr.split("\n")[0]!) }));
}
