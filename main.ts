/**
 * The command line of nexd: one executable, one subcommand a part.
 *
 * Rooms describe their flags as plain tables (`<room>/options.ts`); this file turns a table into flags,
 * reads the environment, checks the values, and loads the room only when its command runs. So
 * `nexd --help` costs no room, and no room knows the command-line library.
 *
 * @module
 */
import { Command, CommanderError } from "commander";
import config from "./deno.json" with { type: "json" };
import {
  AGENT_OPTIONS,
  RELAY_MODE_OPTIONS,
  RELAY_ONBOARD_OPTIONS,
  ROUTER_OPTIONS,
  STATUS_OPTIONS,
} from "./agent/options.ts";
import {
  addOptions,
  addServiceUrl,
  COMMON,
  goSpellings,
  type OptionSpec,
  refuseStrayFlags,
  type Values,
  valuesOf,
} from "./command_line/mod.ts";
import { CONTROL_OPTIONS } from "./control/options.ts";
import type { Onboard } from "./relay/mod.ts";
import { RELAY_OPTIONS } from "./relay/options.ts";

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
    refuseStrayFlags(command);
    if (command.args[0] !== undefined) addServiceUrl(values, command.args[0]);
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
  const [relayNode, router] = [
    program.command("relay").description("run the agent as the VPC's WireGuard relay (Linux)"),
    program.command("router").description(
      "run the agent and bring networks behind this host along",
    ),
  ];
  for (const command of [program, relayNode, router]) {
    command.argument("[service-url]", "the old way to give --service-url");
  }
  bind(relayNode, RELAY_MODE_OPTIONS, async () => {
    const { runAgent } = await agent();
    return (values, context) => runAgent(values, context, "relay");
  });
  bind(router, ROUTER_OPTIONS, async () => {
    const { runAgent } = await agent();
    return (values, context) => runAgent(values, context, "router");
  });
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
