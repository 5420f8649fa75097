/**
 * Running the system's own programs. Arguments go as they are, without a shell; callers check them.
 *
 * @module
 */

import { AgentError, reasonOf } from "../errors.ts";

const TIMEOUT_MS = 10_000;
/** Bytes of output that are read; more ends the program's turn to be heard, not the program. */
const MAX_OUTPUT = 16 * 1024 * 1024;

/** What a program said. */
export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** How a program is run. */
export interface CommandOptions {
  /** Goes to its standard input, the place for secrets; else there is none. */
  input?: string;
  /** ms, then it is killed; 10 s when left out. */
  timeout?: number;
  /** What to do when the program is not there: the end of the error's sentence. */
  remedy?: string;
}

/** Runs a program: {@linkcode runCommand}, or a recording of one in tests. */
export type RunCommand = typeof runCommand;

/**
 * Runs `program` to its end, with messages in plain English where it can speak others.
 *
 * @throws {AgentError} when it is not there, may not be run, or takes too long; its arguments, never
 * its input, are in the message
 */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { input, timeout = TIMEOUT_MS, remedy } = options;
  const signal = AbortSignal.timeout(timeout);
  const shown = reasonOf([program, ...args].join(" "), 120);
  try {
    const child = new Deno.Command(program, {
      args: [...args],
      env: { LC_ALL: "C", WG_COLOR_MODE: "never" },
      stdin: input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      signal,
    }).spawn();
    const output = child.output();
    if (input !== undefined) {
      const writer = child.stdin.getWriter();
      // When the program stops reading, its own message says more than the broken pipe.
      await writer.write(new TextEncoder().encode(input)).then(() => writer.close())
        .catch(() => {});
    }
    const { code, stdout, stderr } = await output;
    if (signal.aborted) throw new AgentError(`${shown} took over ${timeout} ms`);
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes.subarray(0, MAX_OUTPUT));
    return { code, stdout: decode(stdout), stderr: decode(stderr) };
  } catch (error) {
    if (error instanceof AgentError) throw error;
    if (error instanceof Deno.errors.NotFound) {
      throw new AgentError(
        `Cannot run ${program}: ${
          /[/\\]/.test(program) ? "there is no such program" : "it is not in PATH"
        }${remedy === undefined ? "" : `; ${remedy}`}`,
        { cause: error },
      );
    }
    throw new AgentError(`Cannot run ${shown}: ${reasonOf(error)}`, { cause: error });
  }
}
