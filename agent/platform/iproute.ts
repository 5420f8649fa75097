/**
 * Running iproute2. Callers check every argument first: lines of a batch are split at white space.
 *
 * @module
 */

import { AgentError, reasonOf } from "../errors.ts";

const TIMEOUT_MS = 10_000;

/** Runs `ip`; `input` goes to its standard input. Throws only when it cannot run or hangs. */
export async function runIp(
  args: string[],
  input?: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const child = new Deno.Command("ip", {
      args,
      env: { LC_ALL: "C" },
      stdin: input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      signal,
    }).spawn();
    const output = child.output();
    if (input !== undefined) {
      const writer = child.stdin.getWriter();
      // When ip stops reading, its own message says more than the broken pipe.
      await writer.write(new TextEncoder().encode(input)).then(() => writer.close())
        .catch(() => {});
    }
    const { code, stdout, stderr } = await output;
    if (signal.aborted) throw new AgentError(`ip ${args.join(" ")} took over ${TIMEOUT_MS} ms`);
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: decode(stdout), stderr: decode(stderr) };
  } catch (error) {
    if (error instanceof AgentError) throw error;
    if (error instanceof Deno.errors.NotFound) {
      throw new AgentError(
        "Cannot configure the interface: the ip command is missing; run apt-get install iproute2",
      );
    }
    throw new AgentError(`Cannot run ip ${args.join(" ")}: ${reasonOf(error)}`, { cause: error });
  }
}
