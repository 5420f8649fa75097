/**
 * The program as packages install it: the directory that `deno task compile --kind unpacked` makes. This
 * file is the one place that knows what is in it.
 *
 * @module
 */
import config from "../../deno.json" with { type: "json" };
import { PackageError } from "./errors.ts";
import { ROOT } from "./facts.ts";
import { run } from "./run.ts";

/** The program, unpacked. */
export interface Executable {
  directory: string;
  /** Its files by their path in the directory, sorted. */
  files: { name: string; mode: number }[];
  /** Path of what starts it here. */
  launcher: string;
  /** The ELF file among the files. */
  runtime: string;
}

/** What starts it; a program of the shell. */
const LAUNCHER = "nexd";
const RUNTIME = "runtime/nexd";
/** The program's first module. */
const MODULE = "app/main.js";

/**
 * Makes the program for this machine in a directory that is not there yet.
 *
 * @throws {PackageError} when it cannot be made
 */
export async function makeExecutable(directory: string): Promise<Executable> {
  await run(Deno.execPath(), [
    ...["run", "-A", "--config", `${ROOT}deno.json`, `${ROOT}scripts/compile/mod.ts`],
    ...["--kind", "unpacked", "--output", directory],
  ], { env: { NO_COLOR: "1" }, from: "nothing has it, take it from deno.com" });
  return await readExecutable(directory);
}

/**
 * Reads a directory that {@linkcode makeExecutable} has made.
 *
 * @throws {PackageError} when it is not such a directory
 */
export async function readExecutable(directory: string): Promise<Executable> {
  const files: Executable["files"] = [];
  try {
    for (const name of await Array.fromAsync(namesIn(directory, ""))) {
      const mode = name === LAUNCHER || name === RUNTIME ? 0o755 : 0o644;
      files.push({ name, mode });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
      throw error;
    }
    throw new PackageError(`There is no directory ${directory}; leave --executable out`, 2);
  }
  for (const wanted of [LAUNCHER, RUNTIME, MODULE]) {
    if (files.some(({ name }) => name === wanted)) continue;
    throw new PackageError(
      `${directory} has no file ${wanted}; make it with deno task compile --kind unpacked`,
      2,
    );
  }
  files.sort((a, b) => a.name < b.name ? -1 : 1);
  return { directory, files, launcher: `${directory}/${LAUNCHER}`, runtime: RUNTIME };
}

/** What the authors of the parts inside want said of them, as the program prints it. */
export async function noticesOf({ launcher }: Executable): Promise<string> {
  return await run(launcher, ["version", "--licenses"]);
}

/** Files below a directory. What V8 keeps beside them is no part of the program. */
async function* namesIn(directory: string, below: string): AsyncGenerator<string> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(`${directory}/${below}`)) {
    if (isDirectory && below === "" && name === "cache") continue;
    if (isDirectory) yield* namesIn(directory, `${below}${name}/`);
    else if (isFile) yield `${below}${name}`;
  }
}

/**
 * What starts the program where there is no shell for its launcher: the arguments, with the runtime as
 * the first, and a file that has to be beside the program. A relay's workers are started with the
 * program's first module alone; so what they need is in that file.
 */
export function withoutShell(
  home: string,
): { entrypoint: string[]; file: { name: string; text: string } } {
  return {
    entrypoint: [
      `${home}/${RUNTIME}`,
      ...["run", "--quiet", "--no-prompt", "-A", "--no-remote", "--no-npm"],
      ...["--v8-flags=--max-semi-space-size=2", `${home}/${MODULE}`],
    ],
    file: {
      name: "app/deno.json",
      text: JSON.stringify({ unstable: config.unstable, lock: false, nodeModulesDir: "none" }),
    },
  };
}
