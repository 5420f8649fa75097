/**
 * What commands are given, and what they share.
 *
 * @module
 */
import type { CommandTree } from "./completion.ts";

/** The checked values of a command's flags, by flag name. */
export type Values = Record<string, string | number | boolean | string[] | undefined>;

/** What a command may use of its surroundings. */
export interface CommandContext {
  /** Print JSON, one object a line. */
  json: boolean;
  /** The words of the command line that are no flags. */
  args: readonly string[];
  /** Colours may be used. */
  color: boolean;
  /** Columns of the terminal; 80 where there is none. */
  columns: number;
  signal: AbortSignal;
  version: string;
  print(line: string): void;
  /** How this program is started again: by itself, or by a runtime with the module. */
  self: { executable: string; module: string | undefined };
  /** All commands. */
  tree(): CommandTree;
  /** `nexd serve`, which is another room's, as `nexd install` has to know it. */
  serve: ServeCommand;
}

/** What of a flag matters to a service. */
export interface ServeOption {
  name: string;
  env?: string;
  default?: string | number | boolean | readonly string[];
}

/** See {@link CommandContext.serve}. */
export interface ServeCommand {
  options: readonly ServeOption[];
  /** The program with its arguments. */
  command: readonly string[];
  /**
   * Says what is wrong with the flags, now and not at each start.
   *
   * @returns settings for its first start, by variable, and what the operator has to know of them
   */
  prepare(values: Values): Promise<{ variables: Map<string, string>; lines: string[] }>;
}

/** A command; a number is the exit status of an answer that is no. */
export type Command = (values: Values, context: CommandContext) => Promise<number | void>;

/** Prints lines. */
export function printAll(context: Pick<CommandContext, "print">, lines: readonly string[]): void {
  for (const line of lines) context.print(line);
}

const COLORS = { green: 32, yellow: 33, red: 31, dim: 2 } as const;

/** Text in a colour, where colours may be used. */
export function painted(
  { color }: Pick<CommandContext, "color">,
  name: keyof typeof COLORS,
  text: string,
): string {
  return color ? `\x1b[${COLORS[name]}m${text}\x1b[0m` : text;
}
