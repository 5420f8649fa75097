/**
 * Installing a service of systemd, and taking that back. Both say what they do, may be
 * run again, and leave units alone that are not ours.
 *
 * @module
 */
import { AgentError, reasonOf } from "../errors.ts";
import type { RunCommand } from "../platform/mod.ts";
import { drop, put, read } from "./put.ts";
import { serveUnitText } from "./serve_unit.ts";
import { environmentText, MARK, type UnitFacts, unitText } from "./unit.ts";

/** Names of the services, and what their units hold. */
const UNITS = { "nexd": unitText, "nexd-serve": serveUnitText };

/** A service: the agent, or `nexd serve`. Both may be on one host. */
export type ServiceName = keyof typeof UNITS;

/** Where and how. */
export interface ServiceOptions {
  name: ServiceName;
  /** Prefix of all paths; empty for this host. */
  root: string;
  /** Only tell. */
  dryRun: boolean;
  run: RunCommand;
  /** Told of each step. */
  tell(line: string): void;
}

/** What is installed. */
export interface Service extends Omit<UnitFacts, "environmentFile"> {
  /** Settings by variable name; undefined: those of the last time stay. */
  variables: ReadonlyMap<string, string> | undefined;
}

const unitPath = (root: string, name: ServiceName) => `${root}/etc/systemd/system/${name}.service`;
const environmentPath = (root: string, name: ServiceName) => `${root}/etc/nexd/${name}.env`;

/**
 * Writes the unit and its settings, enables it, and starts it, anew where something has changed.
 *
 * @throws {AgentError} when there is no systemd, a unit of that name is not ours, or a step fails
 */
export async function installService(service: Service, options: ServiceOptions): Promise<void> {
  const { root, name, dryRun, tell } = options;
  const [unit, environment] = [unitPath(root, name), environmentPath(root, name)];
  const before = await ours(unit);
  const text = UNITS[name]({ ...service, environmentFile: environmentPath("", name) });
  const settings = service.variables === undefined
    ? await read(environment) ?? environmentText(new Map())
    : environmentText(service.variables);
  const changed = [
    await put(environment, settings, 0o600, options),
    await put(unit, text, 0o644, options),
  ].includes(true);
  if (dryRun && changed) {
    tell("the unit:");
    for (const line of text.trimEnd().split("\n")) tell(`  ${line}`);
  }
  await systemctl(options, "daemon-reload");
  await systemctl(options, "enable", `${name}.service`);
  // Without waiting: the first start may wait for somebody to sign in.
  const verb = changed && before !== undefined ? "restart" : "start";
  await systemctl(options, verb, "--no-block", `${name}.service`);
}

/**
 * Ends the service and removes what {@link installService} wrote. Keys and state stay.
 *
 * @throws {AgentError} when the unit is not ours, or a step fails
 */
export async function uninstallService(options: ServiceOptions): Promise<void> {
  const { root, name, tell } = options;
  const [unit, environment] = [unitPath(root, name), environmentPath(root, name)];
  if (await ours(unit) === undefined) {
    tell(`there is no ${unit}`);
    if (await read(environment) !== undefined) await drop(environment, options);
    return;
  }
  await systemctl(options, "disable", "--now", `${name}.service`);
  await drop(unit, options);
  await drop(environment, options);
  await systemctl(options, "daemon-reload");
}

/** The unit's text, undefined when there is none. */
async function ours(unit: string): Promise<string | undefined> {
  const text = await read(unit);
  if (text === undefined || text.startsWith(MARK)) return text;
  throw new AgentError(`${unit} was not written by nexd install; move it away first`);
}

async function systemctl(options: ServiceOptions, ...args: string[]): Promise<void> {
  const { dryRun, tell, run } = options;
  tell(`${dryRun ? "would run" : "run"} systemctl ${args.join(" ")}`);
  if (dryRun) return;
  const remedy = "this needs a system with systemd; elsewhere run nexd by your own service manager";
  const { code, stderr } = await run("systemctl", args, { remedy, timeout: 90_000 });
  if (code === 0) return;
  throw new AgentError(`systemctl ${args.join(" ")} failed: ${reasonOf(stderr || `code ${code}`)}`);
}
