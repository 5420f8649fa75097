/**
 * Gets a machine ready for the lab: commands, the TUN device, the packages the program imports. Run
 * by the demo and by the tests; does nothing, in a few milliseconds, where nothing is missing.
 *
 * @module
 */

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import {
  BEFORE,
  type Facts,
  installArguments,
  NEEDED,
  planSetup,
  VERSIONED,
  WANTED_BY_TESTS,
} from "./plan.ts";

/** The machine cannot be made ready; the message says what to do. */
export class SetupError extends Error {
  override readonly name = "SetupError";
  readonly exitCode = 1;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SYSTEM_DIRS = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/**
 * Makes this machine ready, telling `say` about everything that changes it or takes time.
 *
 * @param options `tests`: also what some tests use and skip without, as far as it can be had
 * @throws {SetupError} with the command to run where this user may not do it
 */
export async function setUp(
  say: (line: string) => void,
  options: { tests?: boolean } = {},
): Promise<void> {
  if (Deno.build.os !== "linux") {
    throw new SetupError(`Cannot build a lab on ${Deno.build.os}: it needs Linux namespaces`);
  }
  for (const step of planSetup(await lookAround(options.tests === true))) {
    if (step.do === "give-up") throw new SetupError(step.because);
    if (step.do === "install") {
      try {
        await install(step.packages, say);
      } catch (error) {
        if (step.optional !== true || !(error instanceof SetupError)) throw error;
        say(`${error.message}; the tests that use it skip`);
      }
    }
    if (step.do === "make-tun") await makeTun(say);
  }
  await fetchImports(say);
}

async function lookAround(tests: boolean): Promise<Facts> {
  return {
    root: Deno.uid() === 0,
    missing: missingCommands(),
    wanted: tests ? Object.keys(WANTED_BY_TESTS).filter((command) => !has(command)) : [],
    osRelease: await Deno.readTextFile("/etc/os-release").catch(() => ""),
    hasApt: has("apt-get"),
    tun: lookAtTun(),
  };
}

function missingCommands(): string[] {
  return Object.keys(NEEDED).filter((command) => !has(command));
}

function has(command: string): boolean {
  const path = (Deno.env.get("PATH") ?? "").split(":").filter(Boolean);
  const dirs = [...path, ...SYSTEM_DIRS, ...versionedDirs(command)];
  return dirs.some((dir) => isFile(`${dir}/${command}`));
}

function versionedDirs(command: string): string[] {
  const [dir, below] = VERSIONED[command] ?? [];
  if (dir === undefined) return [];
  try {
    return [...Deno.readDirSync(dir)].map(({ name }) => `${dir}/${name}/${below}`);
  } catch {
    return [];
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function lookAtTun(): Facts["tun"] {
  try {
    Deno.openSync("/dev/net/tun", { read: true, write: true }).close();
    return "usable";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "absent";
    return /os error (6|19)\b/.test((error as Error).message) ? "no-driver" : "refused";
  }
}

async function install(packages: string[], say: (line: string) => void): Promise<void> {
  const env = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  const apt = async (...args: string[]) => {
    const { success, stdout, stderr } = await new Deno.Command("apt-get", { args, env }).output();
    return { success, text: new TextDecoder().decode(success ? stdout : stderr) };
  };
  say(`installing ${packages.join(" ")} (apt-get, without recommended packages)`);
  const started = performance.now();
  for (const name of packages) await writeBefore(name);
  // A fresh image has no package lists, an old one has lists of files that are gone.
  const first = await apt(...installArguments(packages));
  if (!first.success) {
    say("fetching package lists (apt-get update)");
    const update = await apt("update", "-q");
    const second = await apt(...installArguments(packages));
    if (!second.success) {
      const why = lastLines(update.success ? second.text : `${update.text}\n${second.text}`);
      throw new SetupError(`Cannot install ${packages.join(", ")}: apt-get says: ${why}`);
    }
  }
  const still = missingCommands();
  if (still.length > 0) {
    throw new SetupError(
      `Cannot find ${still.join(", ")} although apt-get installed ${packages.join(", ")}: ` +
        "check with `dpkg -V` whether a package is damaged",
    );
  }
  say(`installed in ${((performance.now() - started) / 1000).toFixed(0)} s`);
}

async function writeBefore(name: string): Promise<void> {
  const [path, text] = BEFORE[name] ?? [];
  if (path === undefined || text === undefined || isFile(path)) return;
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text);
}

async function makeTun(say: (line: string) => void): Promise<void> {
  const run = async (...argv: string[]) => {
    try {
      return (await new Deno.Command(argv[0]!, { args: argv.slice(1) }).output()).success;
    } catch {
      return false; // a container without modprobe
    }
  };
  say("making /dev/net/tun, which wireguard-go needs");
  await run("modprobe", "tun");
  if (lookAtTun() === "absent") {
    await Deno.mkdir("/dev/net", { recursive: true });
    await run("mknod", "-m", "666", "/dev/net/tun", "c", "10", "200");
  }
  if (lookAtTun() === "usable") return;
  throw new SetupError(
    "Cannot open /dev/net/tun: the kernel has no TUN driver here or the container may not use it; " +
      "run `modprobe tun` on the host, and a container with --device /dev/net/tun --cap-add NET_ADMIN",
  );
}

/** Fetches every import now: a lab's hosts have no way to the Internet. */
async function fetchImports(say: (line: string) => void): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["cache", "--quiet", "main.ts"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => say("fetching npm packages"), 1_000);
  try {
    const [status, errors] = await Promise.all([child.status, new Response(child.stderr).text()]);
    if (!status.success) {
      throw new SetupError(`Cannot fetch the program's imports: ${lastLines(errors)}`);
    }
  } finally {
    clearTimeout(timer);
  }
}

function lastLines(text: string): string {
  const [said = ""] = text.split(/^Stack backtrace:/m); // of Deno, where RUST_BACKTRACE is set
  return said.trim().split("\n").slice(-3).map((line) => line.trim()).join("; ");
}
