/**
 * Windows: where its own programs and shared data are, who an administrator is, and directories that
 * are only theirs. Accounts are named by their numbers (SIDs), as their names are translated.
 *
 * @module
 */
import { AgentError, reasonOf } from "../errors.ts";
import { type RunCommand, runCommand } from "./command.ts";

/** What somebody with every right is called here: the end of a remedy. */
export const SUPERUSER: string = Deno.build.os === "windows" ? "administrator" : "root";

type Env = (name: string) => string | undefined;

/** The local system, and the administrators (well-known SIDs). */
const SYSTEM = "*S-1-5-18", ADMINISTRATORS = "*S-1-5-32-544";
/** Mandatory labels of a process with an administrator's rights, and of the system's own. */
const HIGH = /"S-1-16-(12288|16384)"/;

/** What is used of Windows; tests stand in for it. */
export interface WindowsHost {
  run: RunCommand;
  env: Env;
  lstat(path: string): Promise<{ isSymlink: boolean }>;
  names(path: string): AsyncIterable<{ name: string; isSymlink: boolean }>;
}

const REAL: WindowsHost = {
  run: runCommand,
  env: (name) => Deno.env.get(name),
  lstat: Deno.lstat,
  names: Deno.readDir,
};

/** The directory of nexd's own data. */
export function programData(env: Env = REAL.env): string {
  return `${env("ProgramData") ?? "C:\\ProgramData"}\\nexd`;
}

/** The whole path of a program of the system: never one that happens to be in PATH. */
export function systemProgram(name: string, env: Env = REAL.env): string {
  return `${env("SystemRoot") ?? "C:\\Windows"}\\System32\\${name}`;
}

/**
 * Whether this process has an administrator's rights, told by its mandatory label: a member of the
 * group has them only when started so.
 */
export async function isAdministrator(
  { run, env }: Pick<WindowsHost, "run" | "env"> = REAL,
): Promise<boolean> {
  const { code, stdout } = await run(systemProgram("whoami.exe", env), [
    ...["/groups", "/fo", "csv", "/nh"],
  ]);
  return code === 0 && HIGH.test(stdout);
}

/**
 * Gives a directory and what is in it to the administrators and the system alone. Anybody may make
 * directories in `%ProgramData%`: one that somebody else has made, with files in it, is taken over,
 * and one that leads elsewhere is refused.
 *
 * @throws {AgentError} with the remedy
 */
export async function protectDirectory(
  path: string,
  { run, env, lstat, names }: WindowsHost = REAL,
): Promise<void> {
  const refuseLink = (path: string, entry: { isSymlink: boolean }) => {
    if (!entry.isSymlink) return;
    throw new AgentError(`Cannot use ${path}: it leads elsewhere; remove it and start nexd again`);
  };
  const info = await lstat(path);
  refuseLink(path, info);
  const call = async (program: string, ...args: string[]) => {
    const { code, stdout, stderr } = await run(systemProgram(program, env), args);
    if (code === 0) return;
    throw new AgentError(
      `Cannot protect ${path}: ${reasonOf(stderr || stdout) || `exit code ${code}`}; run nexd as ` +
        "administrator",
    );
  };
  await call("takeown.exe", "/f", path, "/a");
  await call(
    "icacls.exe",
    ...[path, "/inheritance:r", "/q"],
    ...["/grant:r", `${SYSTEM}:(OI)(CI)F`, "/grant:r", `${ADMINISTRATORS}:(OI)(CI)F`],
  );
  // Nobody else can put anything into it from here on.
  for await (const entry of names(path)) {
    const file = `${path}\\${entry.name}`;
    refuseLink(file, entry);
    await call("takeown.exe", "/f", file, "/a");
    await call("icacls.exe", file, "/reset", "/q");
  }
}
