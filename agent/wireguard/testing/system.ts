/**
 * A system in memory for drivers whose own is not at hand: it answers commands as it was told to,
 * and keeps them.
 *
 * @module
 */
import type { CommandOptions, CommandResult, RunCommand } from "../../platform/mod.ts";

/** Answers one command; undefined: success without a word. */
export type Answer = (line: string) => Partial<CommandResult> | undefined;

/** Commands that were run, as lines, and their answers. */
export class TestSystem {
  readonly lines: string[] = [];
  readonly inputs: string[] = [];
  answer: Answer;

  constructor(answer: Answer = () => undefined) {
    this.answer = answer;
  }

  readonly run: RunCommand = (
    program: string,
    args: readonly string[],
    options?: CommandOptions,
  ) => {
    const line = [program, ...args].join(" ");
    this.lines.push(line);
    if (options?.input !== undefined) this.inputs.push(options.input);
    return Promise.resolve({ code: 0, stdout: "", stderr: "", ...this.answer(line) });
  };

  /** The lines since the last call. */
  take(): string[] {
    return this.lines.splice(0);
  }
}

/** An interface's entry with one address. */
export function entry(
  name: string,
  address: string,
  netmask: string,
): Deno.NetworkInterfaceInfo {
  return {
    name,
    address,
    netmask,
    family: address.includes(":") ? "IPv6" : "IPv4",
    scopeid: null,
    cidr: "",
    mac: "00:00:00:00:00:00",
  };
}
