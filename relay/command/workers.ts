/** How many workers a relay has, and how one is started. */
import { getLogger } from "@logtape/logtape";
import { RelayError } from "../errors.ts";
import { libcPath } from "../net/mod.ts";
import type { Settings, Values } from "./settings.ts";
import type { WorkerCommand } from "../worker/mod.ts";

const logger = getLogger(["nexd", "relay"]);

/** How this program is started again. */
export interface CommandSelf {
  executable: string;
  /** The program's main module; undefined where the executable is the program. */
  module: string | undefined;
}

/** The command that a worker runs. */
export const WORKER_COMMAND = "relayderp-worker";

/** Variables that the program looks at; a worker may see no others. */
const VARIABLES = "NEXD_LOG*,NO_COLOR,FORCE_COLOR,CLICOLOR_FORCE";

/** Small young generations: the packet path makes no garbage, so a large one is only memory. */
const V8_FLAGS = "--v8-flags=--max-semi-space-size=2";

/**
 * The workers that the flags ask for: by default one a core, where this process may start others.
 *
 * @returns undefined to serve in this process
 * @throws RelayError when there shall be several and this process may not start them
 */
export function workersFor(
  settings: Settings,
  values: Values,
  self: CommandSelf | undefined,
  os: typeof Deno.build.os = Deno.build.os,
): { count: number; command: WorkerCommand } | undefined {
  // Only Linux spreads connections over the sockets of a port; Windows has no sockets for the workers.
  const usual = settings.dev || os !== "linux" ? 1 : navigator.hardwareConcurrency;
  const count = settings.workers ?? usual;
  if (count === 1) return undefined;
  const problem = os !== "linux"
    ? `several processes need Linux and this is ${os}`
    : self === undefined
    ? "this program does not know how it was started"
    : mayRun(self.executable)
    ? undefined
    : `this process may not start others; start it with --allow-run=${self.executable}`;
  if (problem === undefined) return { count, command: commandOf(self!, values) };
  if (settings.workers !== undefined) {
    throw new RelayError(`Cannot use --workers ${count}: ${problem}, or give --workers 1`, 2);
  }
  logger.info("Serves in one process and on one core: {problem}", { problem });
  return undefined;
}

function mayRun(executable: string): boolean {
  return Deno.permissions.querySync({ name: "run", command: executable }).state === "granted";
}

function commandOf({ executable, module }: CommandSelf, values: Values): WorkerCommand {
  const args = [WORKER_COMMAND];
  for (const name of ["log-level", "log-format"]) {
    if (typeof values[name] === "string") args.push(`--${name}`, values[name]);
  }
  if (module === undefined) return { executable, args };
  const libc = libcPath();
  const permissions = [
    "--allow-net",
    "--allow-read",
    "--allow-write",
    `--allow-env=${VARIABLES}`,
    ...(libc === undefined ? [] : [`--allow-ffi=${libc}`]),
  ];
  return {
    executable,
    args: ["run", "--quiet", V8_FLAGS, "--no-prompt", ...permissions, module, ...args],
  };
}
