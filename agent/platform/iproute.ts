/**
 * Running iproute2. Callers check every argument first: lines of a batch are split at white space.
 *
 * @module
 */

import { type CommandResult, runCommand } from "./command.ts";

/** Runs `ip`; `input` goes to its standard input. Throws only when it cannot run or hangs. */
export function runIp(args: string[], input?: string): Promise<CommandResult> {
  return runCommand("ip", args, {
    ...(input !== undefined && { input }),
    remedy: "run apt-get install iproute2",
  });
}
