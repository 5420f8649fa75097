/** Deno's own commands, and what they say when they fail. */
import { fileURLToPath } from "node:url";
import { CompileError } from "./errors.ts";

/** The clone, with a slash at its end. */
export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

/** Deno's base executable for the target could not be had. */
export class NoBaseError extends CompileError {}

/** The arguments for `deno` that make `output` of the module `entry`. */
export function denoArguments(entry: string, output: string, target?: string): string[] {
  return [
    ...["compile", "--quiet", "-A", "--no-check", "--frozen", "--config", `${ROOT}deno.json`],
    ...["--output", output],
    ...(target === undefined ? [] : ["--target", target]),
    entry,
  ];
}

/** The error with one sentence on what went wrong, and the remedy if there is one, from what Deno said. */
export function explainFailure(said: string): CompileError {
  const lines = said.split(/^Stack backtrace:/m)[0]!.split("\n").map((line) => line.trim())
    .map((line) => line.replace(/^(error|\d+): /, "")).filter((line) => line !== "");
  const remedy =
    `set DENORT_BIN to the path of the denort of Deno ${Deno.version.deno} for the target`;
  const url = said.match(/https?:\/\/\S*?\/denort-[\w.-]+\.zip/)?.[0];
  if (url !== undefined) {
    return new NoBaseError(
      `Cannot compile: Deno's base executable cannot be had from ${url} (${lines.at(-1)}); ` +
        `run this where it can be downloaded, or ${remedy}`,
    );
  }
  const missing = said.match(/Could not find denort at '([^']*)'/)?.[1];
  if (missing !== undefined) {
    return new CompileError(
      `Cannot compile: there is no base executable at ${missing}; ${remedy}, or unset it`,
    );
  }
  const why = lines.filter((line) => line !== "Caused by:").join("; ");
  return new CompileError(`Cannot compile: ${why || "Deno ended without a word"}`);
}

/**
 * Runs a command, and returns what it printed.
 *
 * @throws {CompileError} what it said, when it fails
 */
export async function run(command: string, args: string[], cwd: string = ROOT): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) throw explainFailure(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
