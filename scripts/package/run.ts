/**
 * Starting the programs that packages are made with.
 *
 * @module
 */
import { PackageError } from "./errors.ts";

/** How to run one. */
export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Debian's package that has the program, for the remedy. */
  from?: string;
}

/**
 * Runs a program to its end; returns what it printed on standard output.
 *
 * @throws {PackageError} when it is not installed or fails
 */
export async function run(
  program: string,
  args: string[],
  { cwd, env = {}, from = program }: RunOptions = {},
): Promise<string> {
  const options = {
    args,
    env: { LC_ALL: "C", TZ: "UTC", ...env },
    ...(cwd === undefined ? {} : { cwd }),
  };
  const { success, code, stdout, stderr } = await new Deno.Command(program, options).output()
    .catch((error: Error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new PackageError(`Cannot find ${program}: install it (on Debian: ${from})`);
    });
  if (success) return new TextDecoder().decode(stdout);
  const said = new TextDecoder().decode(stderr).trim().split("\n").slice(-3).join("; ");
  throw new PackageError(`${program} failed with status ${code}: ${said || "without a word"}`);
}
