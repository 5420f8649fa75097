/**
 * The command line of nexd: one executable, one subcommand a part.
 *
 * Rooms describe their flags as plain tables (`<room>/options.ts`); this file turns a table into flags,
 * reads the environment, checks the values, and loads the room only when its command runs. So
 * `nexd --help` costs no room, and no room knows the command-line library.
 *
 * @module
 */
import { Command, CommanderError, Option } from "commander";
import config from "./deno.json" with { type: "json" };
import { AGENT_OPTIONS, RELAY_ONBOARD_OPTIONS, STATUS_OPTIONS } from "./agent/options.ts";
import { CONTROL_OPTIONS } from "./control/options.ts";
import type { Onboard } from "./relay/mod.ts";
import { RELAY_OPTIONS } from "./relay/options.ts";

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

/** What a command may use of its surroundings. */
export interface Context {
  /** Print machine-readable output, one JSON object a line. */
  readonly json: boolean;
  /** Aborted by SIGINT, SIGTERM or SIGHUP: end cleanly. */
  readonly signal: AbortSignal;
  /** From now on SIGHUP calls this, and does not end the command. */
  onReload(reload: () => void): void;
  readonly version: string;
  /** Writes one line to standard output. */
  print(line: string): void;
}

type Run = (values: Values, context: Context) => Promise<void>;

/** A mistake on the command line or in the environment; ends with status 2. */
class UsageError extends Error {
  readonly exitCode = 2;
}

const COMMON: readonly OptionSpec[] = [
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

/** Adds a table's flags to a command. Values stay text here; {@link valuesOf} converts them. */
function addOptions(command: Command, specs: readonly OptionSpec[]): Command {
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
    command.addOption(option);
  }
  return command;
}

/** Reads a command's flags, then the environment, then the defaults. */
function valuesOf(command: Command, specs: readonly OptionSpec[]): Values {
  const values: Values = {};
  for (const spec of specs) {
    const option = command.options.find((o) => (o.long ?? o.short) === flagOf(spec));
    const given: unknown = command.getOptionValue(option?.attributeName() ?? spec.name);
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

/**
 * Rewrites the spellings of Go programs into the library's: `-name` becomes `--name` where such a long
 * flag exists, and a bare boolean becomes `--name=true`, so that it never swallows the next word.
 */
function goSpellings(program: Command, args: readonly string[]): string[] {
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

/**
 * Text that a stranger may have chosen, for a terminal and a log: one that could end the line could
 * begin another, and one that could steer the terminal could hide it.
 */
function oneLine(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Sends the log to standard error: one line a meaningful event. */
async function configureLog(values: Values): Promise<void> {
  const { configure, getTextFormatter, jsonLinesFormatter } = await import("@logtape/logtape");
  const format = values["log-format"] === "json" ? jsonLinesFormatter : getTextFormatter({
    timestamp: "time",
    category: (parts) => parts.slice(1).join("."),
    // Texts without quotes; everything else as the runtime shows it.
    value: (value, inspect) => typeof value === "string" ? oneLine(value) : inspect(value),
  });
  const encoder = new TextEncoder();
  const level = Deno.env.get("NEXD_LOGLEVEL") ? "debug" : values["log-level"];
  await configure({
    reset: true,
    sinks: { stderr: (record) => void Deno.stderr.writeSync(encoder.encode(format(record))) },
    loggers: [
      { category: ["logtape"], sinks: ["stderr"], lowestLevel: "warning" },
      {
        category: ["nexd"],
        sinks: ["stderr"],
        lowestLevel: level as "debug" | "info" | "warning" | "error",
      },
    ],
  });
}

/** What SIGINT, SIGTERM and SIGHUP do to a command: end it, or nothing, as its supervisor gets them. */
type Signals = "end" | "ignore";

/** A signal that the first SIGINT, SIGTERM or SIGHUP aborts; a second one ends the process at once. */
function interruption(signals: Signals) {
  const controller = new AbortController();
  let reload: (() => void) | undefined;
  const onEnd = () => {
    if (signals === "ignore") return;
    if (controller.signal.aborted) Deno.exit(130);
    controller.abort();
  };
  const onHangUp = () => reload === undefined ? onEnd() : reload();
  const listeners: [Deno.Signal, () => void][] = Deno.build.os === "windows"
    ? [["SIGINT", onEnd]]
    : [["SIGINT", onEnd], ["SIGTERM", onEnd], ["SIGHUP", onHangUp]];
  for (const [name, listener] of listeners) Deno.addSignalListener(name, listener);
  return {
    signal: controller.signal,
    onReload: (hook: () => void) => void (reload = hook),
    release() {
      for (const [name, listener] of listeners) Deno.removeSignalListener(name, listener);
    },
  };
}

const encoder = new TextEncoder();

/** Writes one line to standard output. Nobody reading any more is a quiet end, as for `| head`. */
function print(line: string): void {
  const bytes = encoder.encode(line + "\n");
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** Binds a command to a room's function, which is loaded only now. */
function bind(
  command: Command,
  specs: readonly OptionSpec[],
  load: () => Promise<Run>,
  signals: Signals = "end",
): Command {
  const all = [...specs, ...COMMON];
  return addOptions(command, all).action(async () => {
    const values = valuesOf(command, all);
    await configureLog(values);
    const { signal, onReload, release } = interruption(signals);
    try {
      const run = await load();
      const json = values.json === true;
      await run(values, { json, signal, onReload, version: VERSION, print });
    } finally {
      release();
    }
  });
}

/** How this program is started again: a compiled one by itself, else the runtime with this file. */
function self(): { executable: string; module: string | undefined } {
  const module = Deno.build.standalone ? undefined : import.meta.filename;
  return { executable: Deno.execPath(), module };
}

/** Makes a relay a device of a VPC, for `relayderp --onboard`. */
const onboard: Onboard = async (values, version) => {
  const { deviceListFile, joinVpc, readOnboardSettings } = await import(
    "./agent/relay_node/mod.ts"
  );
  const settings = await readOnboardSettings(values, version);
  return {
    cacheFile: deviceListFile(settings),
    join: (relay, on) => joinVpc({ ...settings, ...relay }, on),
  };
};

/** The version of this build. */
export const VERSION: string = config.version;

/** The whole command tree. */
export function buildProgram(): Command {
  const program = new Command("nexd")
    .description(
      "Joins hosts into a WireGuard mesh and relays the pairs that NAT keeps apart.\n" +
        "Without a subcommand it is the agent: nexd --reg-key https://HOST#RK:…",
    )
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .allowExcessArguments(false);
  const agent = () => import("./agent/mod.ts");

  // Subcommands come first: they inherit the settings above, not the agent's flags.
  const control = program.command("control").description("run the control plane (the API)");
  bind(control, CONTROL_OPTIONS, async () => (await import("./control/mod.ts")).runControl);
  const relay = program.command("relayderp").description("run the DERP relay and its STUN server");
  bind(relay, [...RELAY_OPTIONS, ...RELAY_ONBOARD_OPTIONS], async () => {
    const { runRelay } = await import("./relay/mod.ts");
    return (values, context) => runRelay(values, { ...context, self: self(), onboard });
  });
  // Signals reach its supervisor as well, which tells it what to do.
  bind(
    program.command("relayderp-worker", { hidden: true }),
    [],
    async () => (await import("./relay/mod.ts")).runWorker,
    "ignore",
  );
  const status = program.command("status").description("show what the agent on this host does");
  bind(status, STATUS_OPTIONS, async () => (await agent()).runStatus);
  const peers = program.command("peers").description("the peers of the agent on this host");
  bind(
    peers.command("list").description("list the peers, how each is reached and why"),
    STATUS_OPTIONS,
    async () => (await agent()).runPeersList,
  );
  bind(
    program.command("version").description("print the version"),
    [],
    () =>
      Promise.resolve((_values, { json, print, version }) => {
        print(json ? JSON.stringify({ version }) : version);
        return Promise.resolve();
      }),
  );
  return bind(program, AGENT_OPTIONS, async () => (await agent()).runAgent);
}

/** The library's message as one sentence, with the remedy. */
function plainUsage(message: string, error: CommanderError): string {
  const first = message.replace(/^error: /, "").replace(/\n\(?/g, ". ").replace(/[).]+$/, "");
  const text = error.code === "commander.excessArguments"
    ? first.replace(/^.*but got \d+: ?/, "unknown command or argument: ")
    : first;
  if (/^unknown command or argument: (true|false)$/.test(text)) {
    return `${text}; a switch takes its value as in --stun=false`;
  }
  return `${text}; see --help for what there is`;
}

/** Says what went wrong, in one sentence, and returns the exit status. */
function report(error: unknown, json: boolean): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  if (error instanceof CommanderError && error.code === "commander.help") return 2;
  const known = error as { exitCode?: unknown; message?: unknown };
  const usage = error instanceof CommanderError;
  const expected = typeof known?.exitCode === "number";
  const exitCode = usage ? 2 : expected ? known.exitCode as number : 70;
  let message = error instanceof Error ? error.message : String(error);
  if (usage) message = plainUsage(message, error);
  message = oneLine(message);
  if (!expected) message = `internal error: ${message}`;
  const stack = !expected && error instanceof Error ? `\n${error.stack}` : "";
  const text = json
    ? JSON.stringify({ error: message, exit_code: exitCode })
    : `nexd: ${message}${stack}`;
  Deno.stderr.writeSync(new TextEncoder().encode(text + "\n"));
  return exitCode;
}

/** Runs one command line and returns its exit status: 0, 1 failed, 2 wrong usage, 70 our mistake. */
export async function main(args: readonly string[]): Promise<number> {
  const program = buildProgram();
  const spelled = goSpellings(program, args);
  try {
    await program.parseAsync(spelled, { from: "user" });
    return 0;
  } catch (error) {
    return report(error, spelled.includes("--json=true"));
  }
}

if (import.meta.main) {
  Deno.exit(await main(Deno.args));
}
