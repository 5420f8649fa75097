import { parseArgs } from "node:util";
import { UsageError } from "./errors.ts";

/** What can be made: one file by Deno, one file that unpacks itself, or the directory it unpacks to. */
export const KINDS = ["compiled", "unpacking", "unpacked"] as const;

/** One of {@linkcode KINDS}. */
export type Kind = typeof KINDS[number];

/** What to make. */
export interface CompileArguments {
  help: boolean;
  /** Path of what is made; relative to where the command was given. Without one, `nexd` in the clone. */
  output?: string;
  /** Target triple; this machine's without one. */
  target?: string;
  /** Without one: compiled where Deno's base executable can be had, else unpacking. */
  kind?: Kind;
}

/** What `--help` prints. */
export const HELP = `Makes one executable of nexd, which needs no Deno.

Usage: deno task compile [options]

  --output PATH, -o   the executable (default nexd, in the clone)
  --target TRIPLE     the machine it is for, such as aarch64-unknown-linux-gnu
                      (default this one)
  --kind KIND         compiled    by deno compile
                      unpacking   a file for this kind of machine (Linux) that unpacks Deno and the
                                  program once, and starts them from there
                      unpacked    the directory that this file would unpack, for packages
                      (default compiled, or unpacking where Deno's base cannot be downloaded)
  --help              this text

Deno downloads its base executable once for each target; DENORT_BIN names one that is there already.
NEXD_COMMIT is the commit that the executable tells, where there is no git.
`;

/**
 * Reads the command line.
 *
 * @throws {UsageError} naming what is wrong
 */
export function parseArguments(args: string[]): CompileArguments {
  const { kind, ...values } = read(args);
  for (const name of ["output", "target"] as const) {
    if (values[name] === "") throw new UsageError(`--${name} takes a value; see --help`);
  }
  if (kind === undefined) return values;
  const known = KINDS.find((name) => name === kind);
  if (known === undefined) {
    throw new UsageError(`--kind takes ${KINDS.join(", ")}, not "${kind}"`);
  }
  return { ...values, kind: known };
}

function read(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        help: { type: "boolean", short: "h", default: false },
        output: { type: "string", short: "o" },
        target: { type: "string" },
        kind: { type: "string" },
      },
    });
    return values;
  } catch (error) {
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
