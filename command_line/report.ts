/**
 * What went wrong, in one sentence, and the exit status that says it to programs.
 *
 * @module
 */
import { CommanderError } from "commander";
import { oneLine } from "./log.ts";
import { writeError } from "./stderr.ts";

/** The library's message as one sentence, with the remedy. */
function plainUsage(message: string, error: CommanderError): string {
  const first = message.replace(/^error: /, "").replace(/\n\(?/g, ". ").replace(/[).]+$/, "");
  const text = error.code === "commander.excessArguments"
    ? first.replace(/^.*but got \d+: ?/, "unknown command or argument: ")
    : first;
  if (/^unknown command or argument: (true|false)$/.test(text)) {
    return `${text}; a switch takes its value as in --stun=false`;
  }
  return `${text}; see --help for what there is`;
}

/**
 * Says on standard error what went wrong, and returns the exit status: 0 for a shown help text, 2 for
 * wrong usage, that of the error where it has one, 70 for a mistake of ours.
 *
 * @param json as one JSON object
 */
export function report(error: unknown, json: boolean): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  if (error instanceof CommanderError && error.code === "commander.help") return 2;
  const known = error as { exitCode?: unknown; message?: unknown };
  const usage = error instanceof CommanderError;
  const expected = typeof known?.exitCode === "number";
  const exitCode = usage ? 2 : expected ? known.exitCode as number : 70;
  let message = error instanceof Error ? error.message : String(error);
  if (usage) message = plainUsage(message, error);
  message = oneLine(message);
  if (!expected) message = `internal error: ${message}`;
  const stack = !expected && error instanceof Error ? `\n${error.stack}` : "";
  const text = json
    ? JSON.stringify({ error: message, exit_code: exitCode })
    : `nexd: ${message}${stack}`;
  writeError(text + "\n");
  return exitCode;
}
