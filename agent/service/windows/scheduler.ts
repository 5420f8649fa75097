/**
 * Installing a task that runs like a service, and taking that back, by `schtasks`. Its messages are
 * in the system's language: only exit codes, and XML, are relied on.
 *
 * https://learn.microsoft.com/windows-server/administration/windows-commands/schtasks
 *
 * @module
 */
import { AgentError, reasonOf, usageError } from "../../errors.ts";
import {
  programData,
  protectDirectory,
  type RunCommand,
  systemProgram,
} from "../../platform/mod.ts";
import type { Steps } from "../put.ts";
import { settingsText } from "../settings.ts";
import { MARK, taskText, utf16 } from "./task.ts";

/** What is used of the system; tests stand in for it. */
export interface TaskFiles {
  read(path: string): Promise<string | undefined>;
  write(path: string, data: string | Uint8Array): Promise<void>;
  remove(path: string): Promise<void>;
  /** Makes a directory that only administrators and the system can use. */
  protect(path: string): Promise<void>;
  env(name: string): string | undefined;
}

const REAL: TaskFiles = {
  read: (path) => Deno.readTextFile(path).catch(() => undefined),
  write: (path, data) =>
    typeof data === "string" ? Deno.writeTextFile(path, data) : Deno.writeFile(path, data),
  remove: (path) => Deno.remove(path).catch(() => {}),
  async protect(path) {
    await Deno.mkdir(path, { recursive: true });
    await protectDirectory(path);
  },
  env: (name) => Deno.env.get(name),
};

/** Where and how. */
export interface TaskOptions extends Steps {
  name: "nexd" | "nexd-serve";
  run: RunCommand;
  /** Has the one that runs end by itself and waits for that; the task itself can only be killed. */
  stop(): Promise<unknown>;
  files?: TaskFiles;
}

/** What is installed. */
interface TaskService {
  /** How nexd is started, without its words. */
  launcher: readonly string[];
  words: readonly string[];
  /** Settings by variable name; undefined: those of the last time stay. */
  variables: ReadonlyMap<string, string> | undefined;
}

/**
 * Writes the settings, makes the task, and runs it, anew where something changed.
 *
 * @throws {AgentError} when others could change the program, a task of that name is not ours, or a
 *   step fails
 */
export async function installTask(
  { launcher, words, variables }: TaskService,
  options: TaskOptions,
): Promise<void> {
  const { name, dryRun, tell, files = REAL } = options;
  checkProgram(launcher[0] ?? "", files.env);
  const directory = programData(files.env);
  const [settings, xml] = [`${directory}\\${name}.json`, `${directory}\\${name}.xml`];
  const there = await ours(options);
  const definition = taskText([...launcher, "service-run", settings]);
  const before = await files.read(settings);
  const log = `${directory}\\${name}.log`;
  const text = settingsText({ words: [...words], log }, variables, before);
  tell(`${dryRun ? "would write" : "write"} ${settings} (for administrators only)`);
  if (dryRun) {
    tell("the task:");
    for (const line of definition.trimEnd().split("\r\n")) tell(`  ${line}`);
  } else {
    await files.protect(directory);
    await files.write(settings, text);
    await files.write(xml, utf16(definition));
  }
  try {
    await schtasks(options, "/create", "/tn", name, "/xml", xml, ...(there ? ["/f"] : []));
  } finally {
    if (!dryRun) await files.remove(xml);
  }
  if (there && !dryRun) await options.stop();
  await schtasks(options, "/run", "/tn", name);
  tell(`the log is ${log}`);
}

/**
 * Ends the service and removes what {@link installTask} made. Keys, state and log stay.
 *
 * @throws {AgentError} when the task is not ours, or a step fails
 */
export async function uninstallTask(options: TaskOptions): Promise<void> {
  const { name, dryRun, tell, run, files = REAL } = options;
  const settings = `${programData(files.env)}\\${name}.json`;
  if (!await ours(options)) {
    tell(`there is no task ${name}`);
  } else {
    // Else it is started again within a minute.
    await schtasks(options, "/change", "/tn", name, "/disable");
    if (!dryRun) {
      await options.stop();
      // Where it answers no more. It fails when nothing runs.
      await run(systemProgram("schtasks.exe", files.env), ["/end", "/tn", name]);
    }
    await schtasks(options, "/delete", "/tn", name, "/f");
  }
  if (await files.read(settings) === undefined) return;
  tell(`${dryRun ? "would remove" : "remove"} ${settings}`);
  if (!dryRun) await files.remove(settings);
}

/** What runs as the system must not be where others can put another program in its place. */
function checkProgram(program: string, env: TaskFiles["env"]): void {
  const safe = ["ProgramW6432", "ProgramFiles", "SystemRoot"].flatMap((name) => env(name) ?? []);
  if (safe.length === 0) safe.push("C:\\Program Files");
  const path = program.toLowerCase().replaceAll("/", "\\");
  const inside = safe.some((place) => path.startsWith(`${place.toLowerCase()}\\`));
  if (inside && !path.includes("\\..")) return;
  throw usageError(
    `Cannot install ${program} as a service: others could replace it there; put it into ` +
      `${safe[0]}\\nexd and run nexd install from there`,
  );
}

/** Whether there is a task of ours. What cannot be asked for is taken to be none. */
async function ours({ name, run, files = REAL }: TaskOptions): Promise<boolean> {
  const { code, stdout } = await run(systemProgram("schtasks.exe", files.env), [
    ...["/query", "/tn", name, "/xml"],
  ]);
  if (code !== 0) return false;
  // It may come as UTF-16.
  if (stdout.replaceAll("\0", "").includes(MARK)) return true;
  throw new AgentError(`The task ${name} was not made by nexd install; delete or rename it first`);
}

async function schtasks(options: TaskOptions, ...args: string[]): Promise<void> {
  const { dryRun, tell, run, files = REAL } = options;
  tell(`${dryRun ? "would run" : "run"} schtasks ${args.join(" ")}`);
  if (dryRun) return;
  const { code, stdout, stderr } = await run(systemProgram("schtasks.exe", files.env), args);
  if (code === 0) return;
  throw new AgentError(
    `schtasks ${args.join(" ")} failed: ${reasonOf(stderr || stdout || `code ${code}`)}; run it ` +
      "as administrator",
  );
}
