/**
 * Installing a service of launchd, and taking that back, by launchctl(1).
 *
 * @module
 */
import { AgentError, reasonOf } from "../../errors.ts";
import type { RunCommand } from "../../platform/mod.ts";
import { drop, put, read, type Steps } from "../put.ts";
import { settingsText } from "../settings.ts";
import { MARK, plistText } from "./plist.ts";

const LAUNCHCTL = "/bin/launchctl";
/** How long the old one may take to put back what it changed; above the list's `ExitTimeOut`, ms. */
const END_MS = 35_000;
const POLL_MS = 100;

/** Where and how. */
export interface LaunchdOptions extends Steps {
  name: "nexd" | "nexd-serve";
  /** Prefix of all paths; empty for this host. */
  root: string;
  run: RunCommand;
}

/** What is installed. */
interface LaunchdService {
  /** How nexd is started, without its words. */
  launcher: readonly string[];
  words: readonly string[];
  /** Settings by variable name; undefined: those of the last time stay. */
  variables: ReadonlyMap<string, string> | undefined;
}

const labelOf = (name: string) => `${name}.service`;
const plistPath = (root: string, name: string) =>
  `${root}/Library/LaunchDaemons/${labelOf(name)}.plist`;
const settingsPath = (root: string, name: string) => `${root}/etc/nexd/${name}.json`;

/**
 * Writes the property list and the settings, and has launchd run it, anew where something changed.
 *
 * @throws {AgentError} when a list of that name is not ours, or a step fails
 */
export async function installLaunchd(
  { launcher, words, variables }: LaunchdService,
  options: LaunchdOptions,
): Promise<void> {
  const { root, name, dryRun, tell } = options;
  const [plist, settings] = [plistPath(root, name), settingsPath(root, name)];
  await ours(plist);
  const text = plistText(labelOf(name), [...launcher, "service-run", settingsPath("", name)]);
  const log = `/var/log/${name}.log`;
  const changed = [
    await put(
      settings,
      settingsText({ words: [...words], log }, variables, await read(settings)),
      0o600,
      options,
    ),
    await put(plist, text, 0o644, options),
  ].includes(true);
  if (dryRun && changed) {
    tell("the property list:");
    for (const line of text.trimEnd().split("\n")) tell(`  ${line}`);
  }
  const target = `system/${labelOf(name)}`;
  // Else a service that was once disabled by hand cannot be loaded.
  await launchctl(options, "enable", target);
  const loaded = !dryRun && await isLoaded(options);
  if (loaded && !changed) return await launchctl(options, "kickstart", target);
  if (loaded) await bootOut(options);
  await launchctl(options, "bootstrap", "system", plistPath("", name));
  tell(`the log is ${log}`);
}

/**
 * Ends the service and removes what {@link installLaunchd} wrote. Keys, state and log stay.
 *
 * @throws {AgentError} when the list is not ours, or a step fails
 */
export async function uninstallLaunchd(options: LaunchdOptions): Promise<void> {
  const { root, name, dryRun, tell } = options;
  const [plist, settings] = [plistPath(root, name), settingsPath(root, name)];
  const there = await ours(plist) !== undefined;
  if (!there) tell(`there is no ${plist}`);
  else if (dryRun || await isLoaded(options)) await bootOut(options);
  if (there) await drop(plist, options);
  if (await read(settings) !== undefined) await drop(settings, options);
}

/** The list's text, undefined when there is none. */
async function ours(plist: string): Promise<string | undefined> {
  const text = await read(plist);
  if (text === undefined || text.includes(MARK)) return text;
  throw new AgentError(`${plist} was not written by nexd install; move it away first`);
}

/** Only its status is documented to be of use: what `print` says is not for programs. */
async function isLoaded({ run, name }: LaunchdOptions): Promise<boolean> {
  return (await run(LAUNCHCTL, ["print", `system/${labelOf(name)}`])).code === 0;
}

/** It comes back before the service has ended ("Operation now in progress"), so its end is awaited. */
async function bootOut(options: LaunchdOptions): Promise<void> {
  const { dryRun, tell, run, name } = options;
  const args = ["bootout", `system/${labelOf(name)}`];
  tell(`${dryRun ? "would run" : "run"} launchctl ${args.join(" ")}`);
  if (dryRun) return;
  const { stderr } = await run(LAUNCHCTL, args, { timeout: END_MS });
  for (const end = Date.now() + END_MS; await isLoaded(options);) {
    if (Date.now() > end) {
      throw new AgentError(`launchctl ${args.join(" ")} failed: ${reasonOf(stderr)}; run as root`);
    }
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

async function launchctl(options: LaunchdOptions, ...args: string[]): Promise<void> {
  const { dryRun, tell, run } = options;
  tell(`${dryRun ? "would run" : "run"} launchctl ${args.join(" ")}`);
  if (dryRun) return;
  const { code, stdout, stderr } = await run(LAUNCHCTL, args, { timeout: END_MS });
  if (code === 0) return;
  throw new AgentError(
    `launchctl ${args.join(" ")} failed: ${reasonOf(stderr || stdout || `code ${code}`)}; ` +
      "run as root, and see /var/log/com.apple.xpc.launchd/launchd.log",
  );
}
