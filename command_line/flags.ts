/**
 * Tables of flags become flags, and their texts become checked values, the environment and the
 * defaults included.
 *
 * @module
 */
import { type Command, Option } from "commander";

/** One flag of a command: how it is spelled, where else it is read from, what it takes. */
export interface OptionSpec {
  /** Long name without dashes; a single letter makes a short flag. */
  readonly name: string;
  /** A second spelling, one letter. */
  readonly alias?: string;
  readonly env?: string;
  readonly kind: "string" | "boolean" | "integer" | "list";
  readonly default?: string | number | boolean | readonly string[];
  readonly help: string;
  readonly placeholder?: string;
  readonly choices?: readonly string[];
  readonly hidden?: boolean;
}

/** The checked values of a command's flags, by flag name. */
export type Values = Record<string, string | number | boolean | string[] | undefined>;

/** A mistake on the command line or in the environment; ends with status 2. */
export class UsageError extends Error {
  readonly exitCode = 2;
}

/** Flags of every command. */
export const COMMON: readonly OptionSpec[] = [
  { name: "json", kind: "boolean", default: false, help: "print JSON, one object a line" },
  {
    name: "log-level",
    env: "NEXD_LOG_LEVEL",
    kind: "string",
    default: "info",
    choices: ["debug", "info", "warning", "error"],
    help: "how much to log on standard error; NEXD_LOGLEVEL, set to anything, means debug",
  },
  {
    name: "log-format",
    env: "NEXD_LOG_FORMAT",
    kind: "string",
    default: "text",
    choices: ["text", "json"],
    help: "form of the log lines",
  },
];

const TRUE = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE = new Set(["0", "f", "F", "false", "FALSE", "False"]);

/** Turns the text of a flag or variable into its value, or says what is wrong with it. */
function convert(spec: OptionSpec, text: string, source: string): Values[string] {
  const wrong = (wanted: string) =>
    new UsageError(`${source} has the value "${text}", but it takes ${wanted}`);
  switch (spec.kind) {
    case "boolean":
      if (TRUE.has(text)) return true;
      if (FALSE.has(text)) return false;
      throw wrong("true or false");
    case "integer": {
      const value = Number(text);
      if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) throw wrong("a whole number");
      return value;
    }
    case "list":
      return text.split(",").map((part) => part.trim()).filter((part) => part !== "");
    case "string":
      if (spec.choices && !spec.choices.includes(text)) throw wrong(spec.choices.join(" or "));
      return text;
  }
}

const flagOf = (spec: OptionSpec) => (spec.name.length === 1 ? "-" : "--") + spec.name;

/** What the value of a flag may be, where only some texts may. */
export const CHOICES: WeakMap<Option, readonly string[]> = new WeakMap();

/** Adds a table's flags to a command. Values stay text here; {@link valuesOf} converts them. */
export function addOptions(command: Command, specs: readonly OptionSpec[]): Command {
  for (const spec of specs) {
    const holder = spec.kind === "boolean"
      ? " [BOOL]"
      : ` <${spec.placeholder ?? (spec.choices?.join("|") ?? spec.kind.toUpperCase())}>`;
    const shown = Array.isArray(spec.default) ? spec.default.join(",") : spec.default;
    const notes = [
      ...(shown === undefined || shown === "" || shown === false ? [] : [`default ${shown}`]),
      ...(spec.env === undefined ? [] : [`env ${spec.env}`]),
    ];
    const option = new Option(
      (spec.alias === undefined ? "" : `-${spec.alias}, `) + flagOf(spec) + holder,
      notes.length > 0 ? `${spec.help} (${notes.join("; ")})` : spec.help,
    );
    if (spec.kind === "list") {
      option.argParser((text: string, before: string[] | undefined) => [...(before ?? []), text]);
    }
    option.hideHelp(spec.hidden ?? false);
    if (spec.choices !== undefined) CHOICES.set(option, spec.choices);
    command.addOption(option);
  }
  return command;
}

/** Reads a command's flags, then the environment, then the defaults. */
export function valuesOf(command: Command, specs: readonly OptionSpec[]): Values {
  const values: Values = {};
  for (const spec of specs) {
    const given = withAncestors(command).map((at) => givenValue(at, spec))
      .find((value) => value !== undefined);
    const fromEnv = spec.env === undefined ? undefined : Deno.env.get(spec.env);
    if (Array.isArray(given)) {
      values[spec.name] = given.flatMap((text) => convert(spec, text, flagOf(spec)) as string[]);
    } else if (typeof given === "string") {
      values[spec.name] = convert(spec, given, flagOf(spec));
    } else if (fromEnv !== undefined && fromEnv !== "") {
      values[spec.name] = convert(spec, fromEnv, spec.env!);
    } else {
      values[spec.name] = Array.isArray(spec.default)
        ? [...spec.default]
        : spec.default as Values[string];
    }
  }
  return values;
}

/** A command, the one above it, and so on to the program itself. */
function withAncestors(command: Command): Command[] {
  const all = [command];
  for (let at = command.parent; at !== null; at = at.parent) all.push(at);
  return all;
}

/** What was written for a flag behind a command's name, before that of a subcommand. */
function givenValue(command: Command, spec: OptionSpec): unknown {
  const option = command.options.find((o) => (o.long ?? o.short) === flagOf(spec));
  return command.getOptionValue(option?.attributeName() ?? spec.name);
}

/**
 * Flags may stand before a subcommand: those of the agent, and those of a group of commands. One that
 * the command does not have is a mistake.
 */
export function refuseStrayFlags(command: Command, specs: readonly OptionSpec[]): void {
  const own = new Set(specs.map(flagOf));
  const all = withAncestors(command);
  for (const at of all) {
    for (const option of at.options) {
      const flag = option.long ?? option.short!;
      if (own.has(flag) || at.getOptionValue(option.attributeName()) === undefined) continue;
      const words = all.map((one) => one.name()).reverse().join(" ");
      throw new UsageError(`${flag} has no meaning for ${words}; leave it out`);
    }
  }
}

/** The service URL as a word of its own, which Nexodus' agent takes in place of the flag. */
export function addServiceUrl(values: Values, word: string): void {
  if (!/[.:]/.test(word)) {
    const remedy = TRUE.has(word) || FALSE.has(word)
      ? "a switch takes its value as in --relay-only=false"
      : "see --help for what there is";
    throw new UsageError(`unknown command or argument: ${word.slice(0, 60)}; ${remedy}`);
  }
  if (values["service-url"] !== undefined) {
    throw new UsageError(
      `The service URL is given twice, as ${word.slice(0, 100)} and by --service-url or ` +
        "NEXD_SERVICE_URL; leave out the first",
    );
  }
  values["service-url"] = word;
}

/**
 * Rewrites the spellings of Go programs into the library's: `-name` becomes `--name` where such a long
 * flag exists, and a bare boolean becomes `--name=true`, so that it never swallows the next word.
 */
export function goSpellings(program: Command, args: readonly string[]): string[] {
  const out: string[] = [];
  let command = program;
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    if (word === "--") return [...out, ...args.slice(i)];
    if (!word.startsWith("-") || word === "-") {
      command = command.commands.find((c) => c.name() === word) ?? command;
      out.push(word);
      continue;
    }
    const [name, value] = splitOnce(word.replace(/^--?/, ""), "=");
    const option = command.options.find((o) => o.long === `--${name}` || o.short === `-${name}`);
    if (option === undefined) {
      out.push(word);
    } else if (value !== undefined) {
      out.push(...(option.long ? [`${option.long}=${value}`] : [`${option.short}`, value]));
    } else if (!option.required) {
      out.push(`${option.long}=true`);
    } else {
      // The next word is this flag's value, whatever it looks like.
      out.push(option.long ?? option.short!, ...args.slice(i + 1, i + 2));
      i++;
    }
  }
  return out;
}

function splitOnce(text: string, mark: string): [string, string | undefined] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + mark.length)];
}
