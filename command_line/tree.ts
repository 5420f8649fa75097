/**
 * The command tree as plain data: what shell completion is made from.
 *
 * @module
 */
import type { Command } from "commander";
import { CHOICES } from "./flags.ts";

/** One command: its flags, its arguments, and the commands below it. */
export interface CommandTree {
  readonly name: string;
  readonly description: string;
  /** Flags with their dashes, as one writes them. */
  readonly flags: readonly {
    readonly flag: string;
    readonly help: string;
    /** It takes a value. */
    readonly value: boolean;
    readonly choices: readonly string[];
  }[];
  /** Names of the arguments, as in the help text. */
  readonly args: readonly string[];
  readonly commands: readonly CommandTree[];
}

/** The tree below a command, without what is hidden. */
export function treeOf(command: Command): CommandTree {
  return {
    name: command.name(),
    description: command.description().split("\n")[0]!,
    flags: command.options.filter(({ hidden }) => !hidden).map((option) => ({
      flag: option.long ?? option.short!,
      help: option.description.replace(/ \((default|env) .*$/, ""),
      value: option.required,
      choices: CHOICES.get(option) ?? [],
    })),
    args: command.registeredArguments.map((argument) => argument.name()),
    commands: command.createHelp().visibleCommands(command).filter((c) => c.name() !== "help")
      .map(treeOf),
  };
}
