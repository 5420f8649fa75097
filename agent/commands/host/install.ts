/**
 * `nexd install` and `nexd uninstall`.
 *
 * @module
 */
import { isAbsolute } from "node:path";
import { AgentError, usageError } from "../../errors.ts";
import { isRoot, readSignIn, readText } from "../../onboarding/mod.ts";
import { socketPathOf, stopAgent } from "../../ctl/mod.ts";
import { isAdministrator, programData, runCommand } from "../../platform/mod.ts";
import {
  installLaunchd,
  installService,
  installTask,
  readSettings,
  type Service,
  type ServiceOptions,
  type ServiceSettings,
  uninstallLaunchd,
  uninstallService,
  uninstallTask,
} from "../../service/mod.ts";
import type { CommandContext, ServeOption, Values } from "../context.ts";
import { MODES, serviceOptions } from "../table.ts";

/** How `deno task agent` runs it, too: a thousand relayed peers take half the memory (docs/agent.md). */
export const RUN: readonly string[] = [
  "run",
  "--v8-flags=--memory-saver-mode,--min-semi-space-size=2",
  "--no-prompt",
  "-A",
];

/** `nexd install`. Without any settings those of the last time stay. */
export async function install(values: Values, context: CommandContext): Promise<void> {
  const options = await optionsOf(values, context);
  const mode = readText(values, "mode") ?? "agent";
  if (mode === "serve") return await installServe(values, context, options);
  if (!Object.hasOwn(MODES, mode)) throw usageError(`--mode ${mode} is none of the agent's`);
  const variables = settingsOf(values, serviceOptions(mode as keyof typeof MODES));
  // Says what is wrong with them now, and not at each start.
  if (variables.size > 0) await readSignIn(values, { natKind: true });
  const { executable, module } = context.self;
  const socket = readText(values, "unix-socket");
  const stateDir = stateDirOf(values);
  await installOn(
    {
      launcher: [executable, ...(module === undefined ? [] : [...RUN, module])],
      words: [
        ...MODES[mode as keyof typeof MODES],
        ...(socket === undefined ? [] : ["--unix-socket", socket]),
      ],
      ...(module === undefined ? {} : { source: { cache: cacheOf() } }),
      ...(stateDir === undefined || stateDir === "/var/lib/nexd" ? {} : { stateDir }),
      variables: variables.size === 0 ? undefined : variables,
    },
    options,
    values,
  );
  if (!context.json && !options.dryRun) context.print("nexd runs as a service; see nexd status");
}

/** The control plane and relay of `nexd serve`, beside an agent or without one. */
async function installServe(
  values: Values,
  { serve, self, json, print }: CommandContext,
  options: ServiceOptions,
): Promise<void> {
  const named = stateDirOf(values), certDir = readText(values, "certdir");
  // Below the agent's, and so the administrators' alone.
  const stateDir = Deno.build.os === "windows" ? named ?? `${programData()}\\serve` : named;
  const given = settingsOf(values, serve.options.filter(({ name }) => name !== "state-dir"));
  const { variables, lines } = given.size === 0
    ? { variables: given, lines: [] }
    : await serve.prepare({ ...values, "state-dir": stateDir ?? "/var/lib/nexd/serve" });
  await installOn(
    {
      launcher: serve.command.slice(0, -1),
      words: serve.command.slice(-1),
      ...(self.module === undefined ? {} : { source: { cache: cacheOf() } }),
      ...(stateDir === undefined || stateDir === "/var/lib/nexd/serve" ? {} : { stateDir }),
      ...(certDir === undefined ? {} : { writes: [certDir] }),
      variables: given.size === 0 ? undefined : new Map([...given, ...variables]),
    },
    options,
    values,
  );
  if (options.dryRun) return;
  for (const line of lines) print(json ? JSON.stringify({ note: line }) : line);
}

/** `nexd uninstall`. */
export async function uninstall(values: Values, context: CommandContext): Promise<void> {
  const options = await optionsOf(values, context);
  switch (Deno.build.os) {
    case "darwin":
      return await uninstallLaunchd(options);
    case "windows":
      return await uninstallTask({ ...options, stop: stopper(values, options) });
    default:
      return await uninstallService(options);
  }
}

/** What `nexd service-run FILE` is to run; sets the variables. */
export async function serviceSettings(path: string): Promise<ServiceSettings> {
  const settings = await readSettings(path);
  for (const [name, value] of Object.entries(settings.variables)) Deno.env.set(name, value);
  return settings;
}

/** A service, with the program apart from its words. */
type Parts = Omit<Service, "command"> & { launcher: readonly string[]; words: readonly string[] };

/** Installs by the means of this system. */
async function installOn(parts: Parts, options: ServiceOptions, values: Values): Promise<void> {
  const { launcher, words, ...service } = parts;
  const { stateDir, variables } = service;
  const placed = [...words, ...(stateDir === undefined ? [] : ["--state-dir", stateDir])];
  switch (Deno.build.os) {
    case "darwin":
      return await installLaunchd({ launcher, words: placed, variables }, options);
    case "windows":
      return await installTask({ launcher, words: placed, variables }, {
        ...options,
        stop: stopper(values, options),
      });
    default:
      return await installService({ ...service, command: [...launcher, ...words] }, options);
  }
}

/** Ends the agent that runs; `nexd serve` has nothing to put back, and is ended by its task. */
function stopper(values: Values, { name }: ServiceOptions): () => Promise<unknown> {
  return () => name === "nexd" ? stopAgent(socketPathOf(values)) : Promise.resolve();
}

function stateDirOf(values: Values): string | undefined {
  const stateDir = readText(values, "state-dir");
  if (stateDir === undefined || isAbsolute(stateDir)) return stateDir;
  throw usageError(`--state-dir ${stateDir}: give the whole path, from the root on`);
}

async function optionsOf(
  values: Values,
  { json, print }: CommandContext,
): Promise<ServiceOptions> {
  const dryRun = values["dry-run"] === true;
  if (Deno.build.os === "windows") {
    if (!dryRun && !await isAdministrator()) {
      throw new AgentError("A service is installed as administrator: start the terminal as such");
    }
  } else if (!dryRun && !isRoot()) {
    throw new AgentError("A service is installed as root: run it with sudo");
  }
  return {
    name: readText(values, "mode") === "serve" ? "nexd-serve" : "nexd",
    root: (readText(values, "root") ?? "").replace(/\/+$/, ""),
    dryRun,
    run: runCommand,
    tell: (line) => print(json ? JSON.stringify({ step: line }) : line),
  };
}

/** What differs from the defaults, by variable. */
function settingsOf(values: Values, specs: readonly ServeOption[]): Map<string, string> {
  const settings = new Map<string, string>();
  for (const { name, env, default: usual } of specs) {
    const value = values[name];
    if (env === undefined || value === undefined || value === "" || value === usual) continue;
    if (Array.isArray(value) && value.length === 0) continue;
    settings.set(env, Array.isArray(value) ? value.join(",") : String(value));
  }
  return settings;
}

/** Where the runtime keeps the modules that it has fetched. */
function cacheOf(): string {
  const named = Deno.env.get("DENO_DIR");
  if (named !== undefined && named.startsWith("/")) return named;
  return `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/root"}/.cache`}/deno`;
}
