/**
 * The command line of nexd: one executable, one subcommand a part.
 *
 * Rooms describe their flags as plain tables (`<room>/options.ts`); this file makes the tree of commands
 * from them, and loads a room only when its command runs. So `nexd --help` costs no room, and no room
 * knows the command-line library.
 *
 * @module
 */
import { Command } from "commander";
import config from "./deno.json" with { type: "json" };
import {
  AGENT_OPTIONS,
  RELAY_MODE_OPTIONS,
  RELAY_ONBOARD_OPTIONS,
  ROUTER_OPTIONS,
} from "./agent/options.ts";
import {
  addOptions,
  bind,
  build,
  errorsToFile,
  goSpellings,
  licenses,
  type OptionSpec,
  report,
  selfOf,
  SERVICE_URL,
  treeOf,
} from "./command_line/mod.ts";
import type { ServeCommand } from "./agent/commands/mod.ts";
import { AGENT_COMMANDS, COMMAND_GROUPS } from "./agent/commands/table.ts";
import {
  CLIENT_COMMANDS,
  CLIENT_GROUP_OPTIONS,
  CLIENT_GROUPS,
  CLIENT_OPTIONS,
} from "./client/table.ts";
import { CONTROL_COMMANDS, CONTROL_OPTIONS } from "./control/options.ts";
import type { Onboard } from "./relay/mod.ts";
import { RELAY_OPTIONS } from "./relay/options.ts";
import { SERVE_OPTIONS } from "./serve/options.ts";

const self = () => selfOf(import.meta.filename);

/** `nexd serve`, for `nexd install`: with the permissions of its task, and not all. */
const serveCommand: ServeCommand = {
  options: SERVE_OPTIONS,
  get command() {
    const { executable, module } = self();
    if (module === undefined) return [executable, "serve"];
    const words = config.tasks.serve.split(" ").slice(1);
    return [executable, ...words.map((word) => word === "main.ts" ? module : word)];
  },
  prepare: async (values) => (await import("./serve/mod.ts")).prepareService(values),
};

/** The flags of `nexd install`, with those of `nexd serve`, which its help need not repeat. */
function withServe(options: readonly OptionSpec[]): OptionSpec[] {
  const names = new Set(options.map(({ name }) => name));
  const more = SERVE_OPTIONS.filter(({ name }) => !names.has(name));
  return [...options, ...more.map((option) => ({ ...option, hidden: true }))];
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

/** The command at a path of words, with what groups it, made where it is not there yet. */
function commandAt(
  program: Command,
  path: string,
  groups: Record<string, string>,
  made: (group: Command, path: string) => void = () => {},
): Command {
  return path.split(" ").reduce((above, word, i, words) => {
    const found = above.commands.find((command) => command.name() === word);
    if (found !== undefined) return found;
    const place = words.slice(0, i + 1).join(" ");
    const command = above.command(word).description(groups[place] ?? "");
    if (i < words.length - 1) made(command, place);
    return command;
  }, program);
}

/** Lets flags stand before the words of the commands that have them. */
function offer(above: Command, options: readonly OptionSpec[]): void {
  addOptions(above, options.map((option) => ({ ...option, hidden: true })));
}

/** The whole command tree. `exit` takes the status of a command that ends with one. */
export function buildProgram(exit: (status: number) => void = () => {}): Command {
  const program = new Command("nexd")
    .description(
      "Joins hosts into a WireGuard mesh and relays the pairs that NAT keeps apart.\n" +
        "Without a subcommand it is the agent: nexd --reg-key https://HOST#RK:…",
    )
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    // Long flags leave less than the library's least room for their text, on 80 columns.
    .configureHelp({ minWidthToWrap: 24 })
    .allowExcessArguments(false);
  const common = { version: VERSION, exit };

  // Subcommands come first: they inherit the settings above, not the agent's flags.
  const control = program.command("control").description("run the control plane (the API)");
  bind(control, CONTROL_OPTIONS, async () => (await import("./control/mod.ts")).runControl, common);
  const serve = program.command("serve")
    .description("run the control plane, a public relay and STUN in one process");
  bind(serve, SERVE_OPTIONS, async () => (await import("./serve/mod.ts")).runServe, common);
  for (const { name, help, argument, options, run } of CONTROL_COMMANDS) {
    const command = program.command(name).description(help).argument(argument);
    bind(command, options, async () => (await import("./control/mod.ts"))[run], common);
  }
  const agents = {
    relay: "run the agent as the VPC's WireGuard relay (Linux)",
    router: "run the agent and bring networks behind this host along",
  };
  const modeOptions = { agent: AGENT_OPTIONS, relay: RELAY_MODE_OPTIONS, router: ROUTER_OPTIONS };
  const bindAgent = (command: Command, mode: keyof typeof modeOptions) => {
    command.argument(`[${SERVICE_URL}]`, "the old way to give --service-url");
    return bind(command, modeOptions[mode], async () => {
      const { runAgent } = await import("./agent/mod.ts");
      const { openNotifier } = await import("./relay/ops/mod.ts");
      return (values, context) => runAgent(values, { ...context, notifier: openNotifier() }, mode);
    }, common);
  };
  for (const mode of ["relay", "router"] as const) {
    bindAgent(program.command(mode).description(agents[mode]), mode);
  }
  const relay = program.command("relayderp").description("run the DERP relay and its STUN server");
  bind(relay, [...RELAY_OPTIONS, ...RELAY_ONBOARD_OPTIONS], async () => {
    const { runRelay } = await import("./relay/mod.ts");
    return (values, context) => runRelay(values, { ...context, self: self(), onboard });
  }, common);
  // Signals reach its supervisor as well, which tells it what to do.
  bind(
    program.command("relayderp-worker", { hidden: true }),
    [],
    async () => (await import("./relay/mod.ts")).runWorker,
    { ...common, signals: "ignore" },
  );
  // How a service of macOS or Windows is started.
  const service = program.command("service-run", { hidden: true }).argument("<file>");
  bind(service, [], async () => {
    const { serviceSettings } = await import("./agent/commands/mod.ts");
    return async (_values, { args: [file] }) => {
      const { words, log } = await serviceSettings(file!);
      errorsToFile(log);
      return await main(words);
    };
  }, { ...common, signals: "ignore" });
  for (const { path, args, help, options, run } of AGENT_COMMANDS) {
    const command = commandAt(program, path, COMMAND_GROUPS).description(help);
    if (args !== undefined) command.arguments(args);
    bind(command, run === "install" ? withServe(options) : options, async () => {
      const { COMMANDS } = await import("./agent/commands/mod.ts");
      const surroundings = { self: self(), tree: () => treeOf(program), serve: serveCommand };
      return (values, context) => COMMANDS[run]!(values, { ...context, ...surroundings });
    }, common);
  }
  for (const { path, help, options } of CLIENT_COMMANDS) {
    const command = commandAt(program, path, CLIENT_GROUPS, (group, place) => {
      offer(group, [...CLIENT_OPTIONS, ...(CLIENT_GROUP_OPTIONS[place] ?? [])]);
      if (group.parent === program) group.helpGroup("Commands for the control plane:");
    });
    bind(command.description(help), options, async () => {
      const { runClient } = await import("./client/mod.ts");
      return (values, context) => runClient(path, values, context);
    }, common);
  }
  const before = ["output", "debug", "session-file"];
  offer(program, CLIENT_OPTIONS.filter(({ name }) => before.includes(name)));
  bind(
    program.command("version").description("print the version"),
    [{
      name: "licenses",
      kind: "boolean",
      default: false,
      help: "print the licences of the software inside instead",
    }],
    () =>
      Promise.resolve(async (values, { json, print, version }) => {
        if (values.licenses === true) {
          const text = await licenses();
          print(json ? JSON.stringify({ version, licenses: text }) : text);
        } else print(json ? JSON.stringify(build(version)) : version);
      }),
    common,
  );
  return bindAgent(program, "agent");
}

/**
 * Runs one command line and returns its exit status: 0, 1 failed or the answer is no, 2 wrong usage,
 * 70 our mistake.
 */
export async function main(args: readonly string[]): Promise<number> {
  let status = 0;
  const program = buildProgram((of) => status = of);
  const spelled = goSpellings(program, args);
  try {
    await program.parseAsync(spelled, { from: "user" });
    return status;
  } catch (error) {
    return report(error, wantsJson(spelled));
  }
}

/** Whether a command line asks for JSON, and so for errors in JSON. */
function wantsJson(words: readonly string[]): boolean {
  return words.some((word, i) =>
    word === "--json=true" || /^--output=json(-raw)?$/.test(word) ||
    (words[i - 1] === "--output" && /^json(-raw)?$/.test(word))
  );
}

if (import.meta.main) {
  Deno.exit(await main(Deno.args));
}
