/**
 * Joins a command of the library to a room's function, which is loaded only when the command runs.
 *
 * @module
 */
import type { Command } from "commander";
import { configureLog } from "./log.ts";
import {
  addOptions,
  addServiceUrl,
  COMMON,
  type OptionSpec,
  refuseStrayFlags,
  type Values,
  valuesOf,
} from "./flags.ts";

/** What a command may use of its surroundings. */
export interface Context {
  /** Print machine-readable output, one JSON object a line. */
  readonly json: boolean;
  /** The words of the command line that are no flags, in their order. */
  readonly args: readonly string[];
  /** Colours may be used: standard output is a terminal, and NO_COLOR is not set. */
  readonly color: boolean;
  /** Columns of the terminal; 80 where there is none. */
  readonly columns: number;
  /** Aborted by SIGINT, SIGTERM or SIGHUP: end cleanly. */
  readonly signal: AbortSignal;
  /** From now on SIGHUP calls this, and does not end the command. */
  onReload(reload: () => void): void;
  readonly version: string;
  /** Writes one line to standard output. */
  print(line: string): void;
}

/** A command; it may return the exit status where that is an answer (`nexd ping`: nobody replied). */
export type Run = (values: Values, context: Context) => Promise<number | void>;

/** How a command is bound. */
interface Binding {
  readonly version: string;
  /** Takes the exit status of a command that returns one. */
  exit(status: number): void;
  /** `ignore`: signals reach its supervisor as well, which tells it what to do. */
  readonly signals?: "end" | "ignore";
}

/** A signal that the first SIGINT, SIGTERM or SIGHUP aborts; a second one ends the process at once. */
function interruption(signals: "end" | "ignore") {
  const controller = new AbortController();
  let reload: (() => void) | undefined;
  const onEnd = () => {
    if (signals === "ignore") return;
    if (controller.signal.aborted) Deno.exit(130);
    controller.abort();
  };
  const onHangUp = () => reload === undefined ? onEnd() : reload();
  const listeners: [Deno.Signal, () => void][] = Deno.build.os === "windows"
    // There SIGHUP is a console window that is closed.
    ? [["SIGINT", onEnd], ["SIGBREAK", onEnd], ["SIGHUP", onEnd]]
    : [["SIGINT", onEnd], ["SIGTERM", onEnd], ["SIGHUP", onHangUp]];
  for (const [name, listener] of listeners) Deno.addSignalListener(name, listener);
  return {
    signal: controller.signal,
    onReload: (hook: () => void) => void (reload = hook),
    release() {
      for (const [name, listener] of listeners) Deno.removeSignalListener(name, listener);
    },
  };
}

/** Name of the argument that stands for the flag of the same name. */
export const SERVICE_URL = "service-url";

const encoder = new TextEncoder();

/** Writes one line to standard output. Nobody reading any more is a quiet end, as for `| head`. */
function print(line: string): void {
  const bytes = encoder.encode(line + "\n");
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** What the terminal is like. */
function terminal(): { color: boolean; columns: number } {
  if (!Deno.stdout.isTerminal()) return { color: false, columns: 80 };
  try {
    return { color: !Deno.noColor, columns: Math.max(40, Deno.consoleSize().columns) };
  } catch {
    return { color: !Deno.noColor, columns: 80 };
  }
}

/** Gives a command its flags and its function. */
export function bind(
  command: Command,
  specs: readonly OptionSpec[],
  load: () => Promise<Run>,
  { version, exit, signals = "end" }: Binding,
): Command {
  const all = [...specs, ...COMMON];
  return addOptions(command, all).action(async () => {
    const values = valuesOf(command, all);
    refuseStrayFlags(command, all);
    const [word] = command.registeredArguments[0]?.name() === SERVICE_URL ? command.args : [];
    if (word !== undefined) addServiceUrl(values, word);
    await configureLog(values);
    const { signal, onReload, release } = interruption(signals);
    try {
      const run = await load();
      const json = values.json === true;
      const { args } = command;
      const status = await run(values, {
        ...{ json, args, signal, onReload, version, print },
        ...terminal(),
      });
      if (typeof status === "number") exit(status);
    } finally {
      release();
    }
  });
}
