/**
 * `deno task compile`: makes one executable of the program, with every permission it may need. It has
 * no workers and no data files: what `main.ts` imports is all of it. Flags for V8 (see the task `relay`)
 * are not part of it; `--help` has the options.
 *
 * @module
 */

import { isAbsolute, join } from "node:path";
import { parseArgs } from "node:util";

/** What to make. */
export interface CompileArguments {
  help: boolean;
  /** Path of the executable; relative to where the command was given. Without one, `nexd` in the clone. */
  output?: string;
  /** Target triple; this machine's without one. */
  target?: string;
}

/** A mistake on the command line, in one sentence. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Nothing was made: one sentence. */
class CompileError extends Error {
  override readonly name = "CompileError";
}

const ROOT = new URL("..", import.meta.url).pathname;

const HELP = `Makes one executable of nexd, which needs no Deno.

Usage: deno task compile [options]

  --output PATH, -o   the executable (default nexd, in the clone)
  --target TRIPLE     the machine it is for, such as aarch64-unknown-linux-gnu
                      (default this one)
  --help              this text

Deno downloads its base executable once for each target; DENORT_BIN names one that is there already.
`;

/**
 * Reads the command line.
 *
 * @throws {UsageError} naming what is wrong
 */
export function parseArguments(args: string[]): CompileArguments {
  try {
    const { values } = parseArgs({
      args,
      options: {
        help: { type: "boolean", short: "h", default: false },
        output: { type: "string", short: "o" },
        target: { type: "string" },
      },
    });
    for (const name of ["output", "target"] as const) {
      if (values[name] === "") throw new UsageError(`--${name} takes a value; see --help`);
    }
    return values;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const { code, message } = error as Error & { code?: string };
    const named = message.match(/'([^']*)'/)?.[1] ?? "";
    const option = named.match(/--\w+/)?.[0] ?? named;
    throw new UsageError(
      code === "ERR_PARSE_ARGS_INVALID_OPTION_VALUE"
        ? /does not take/.test(message)
          ? `${option} takes no value; see --help`
          : `${option} takes a value; see --help`
        : `"${named}" is not an option of compile; see --help`,
    );
  }
}

/** The arguments for `deno` that make `output`. */
export function denoArguments(output: string, target?: string): string[] {
  return [
    ...["compile", "--quiet", "-A", "--config", `${ROOT}deno.json`, "--output", output],
    ...(target === undefined ? [] : ["--target", target]),
    `${ROOT}main.ts`,
  ];
}

/** One sentence on what went wrong, and the remedy if there is one, from what Deno said. */
export function explainFailure(said: string): string {
  const lines = said.split(/^Stack backtrace:/m)[0]!.split("\n").map((line) => line.trim())
    .map((line) => line.replace(/^(error|\d+): /, "")).filter((line) => line !== "");
  const remedy =
    `set DENORT_BIN to the path of the denort of Deno ${Deno.version.deno} for the target`;
  const url = said.match(/https?:\/\/\S*?\/denort-[\w.-]+\.zip/)?.[0];
  if (url !== undefined) {
    return `Cannot compile: Deno's base executable cannot be had from ${url} (${lines.at(-1)}); ` +
      `run this where it can be downloaded, or ${remedy}`;
  }
  const missing = said.match(/Could not find denort at '([^']*)'/)?.[1];
  if (missing !== undefined) {
    return `Cannot compile: there is no base executable at ${missing}; ${remedy}, or unset it`;
  }
  const why = lines.filter((line) => line !== "Caused by:").join("; ");
  return `Cannot compile: ${why || "Deno ended without a word"}`;
}

const say = (stream: { writeSync(bytes: Uint8Array): number }, text: string) =>
  void stream.writeSync(new TextEncoder().encode(text + "\n"));

async function main(args: string[]): Promise<number> {
  const { help, output, target } = parseArguments(args);
  if (help) {
    say(Deno.stdout, HELP.trimEnd());
    return 0;
  }
  // A task runs in the clone wherever it was called.
  const here = Deno.env.get("INIT_CWD") ?? Deno.cwd();
  const path = output === undefined
    ? join(ROOT, "nexd")
    : isAbsolute(output)
    ? output
    : join(here, output);
  say(Deno.stderr, `Compiling nexd for ${target ?? Deno.build.target}`);
  try {
    await deno(["cache", "--quiet", "--config", `${ROOT}deno.json`, `${ROOT}main.ts`]);
    await deno(denoArguments(path, target));
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    say(Deno.stderr, `compile: ${error.message}`);
    return 1;
  }
  say(Deno.stdout, path);
  return 0;
}

/** Runs `deno`; returns what it printed. */
async function deno(args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) throw new CompileError(explainFailure(new TextDecoder().decode(stderr)));
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    say(Deno.stderr, `compile: ${error.message}`);
    Deno.exit(2);
  }
}
