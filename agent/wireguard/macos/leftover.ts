/**
 * What a crashed agent leaves on macOS: the daemon, and with it the interface. A file names the
 * daemon's process by its number and start; what does not match is somebody else's by now.
 *
 * @module
 */
import { AgentError, reasonOf } from "../../errors.ts";
import { type RunCommand, writeFileAtomic } from "../../platform/mod.ts";

/** Gone after a reboot, like what is noted in it. */
const MARKER_DIR = "/var/run/nexd";
const STOP_MS = 2000;

/** A process that cannot be mistaken for another of its number. */
interface ProcessMark {
  pid: number;
  /** Its start and command, as ps(1) tells them. */
  identity: string;
}

/** What is noted of an open interface. */
interface Marker {
  agent: ProcessMark;
  daemon: ProcessMark;
}

/** Notes who has an interface open, and by which daemon. */
export async function writeMarker(
  run: RunCommand,
  name: string,
  daemonPid: number,
  dir: string = MARKER_DIR,
): Promise<void> {
  const mark = async (pid: number) => ({ pid, identity: await identify(run, pid) ?? "" });
  const marker: Marker = { agent: await mark(Deno.pid), daemon: await mark(daemonPid) };
  try {
    await Deno.mkdir(dir, { recursive: true, mode: 0o755 });
    await writeFileAtomic(`${dir}/${name}.json`, JSON.stringify(marker) + "\n", 0o600);
  } catch (error) {
    throw new AgentError(`Cannot write ${dir}/${name}.json: ${reasonOf(error)}; run nexd as root`);
  }
}

/** Takes the note away. */
export async function removeMarker(name: string, dir: string = MARKER_DIR): Promise<void> {
  await Deno.remove(`${dir}/${name}.json`).catch(() => {});
}

/** Ends the daemon of a crashed agent. Throws when the agent runs; false when there is nothing. */
export async function cleanLeftover(
  run: RunCommand,
  name: string,
  dir: string = MARKER_DIR,
): Promise<boolean> {
  const text = await Deno.readTextFile(`${dir}/${name}.json`).catch(() => undefined);
  if (text === undefined) return false;
  const marker = parseMarker(text);
  if (marker === undefined) {
    await removeMarker(name, dir);
    return false;
  }
  if (await identify(run, marker.agent.pid) === marker.agent.identity) {
    throw new AgentError(
      `Interface ${name} belongs to a running nexd (pid ${marker.agent.pid}); stop it or choose ` +
        `another --interface`,
    );
  }
  const { pid, identity } = marker.daemon;
  let stopped = false;
  for (const signal of ["-TERM", "-KILL"]) {
    if (await identify(run, pid) !== identity) break;
    stopped = true;
    await run("/bin/kill", [signal, String(pid)]);
    for (const end = Date.now() + STOP_MS; Date.now() < end;) {
      if (await identify(run, pid) !== identity) break;
      await new Promise((done) => setTimeout(done, 50));
    }
  }
  await removeMarker(name, dir);
  return stopped;
}

/** Start and command of a live process; undefined when there is none. */
async function identify(run: RunCommand, pid: number): Promise<string | undefined> {
  const { code, stdout } = await run("/bin/ps", [
    // One -o each: what follows a "=" is the header, commas included (ps(1), POSIX).
    ...["-o", "lstart=", "-o", "command=", "-p", String(pid)],
  ]);
  return code === 0 && stdout.trim() !== "" ? stdout.trim() : undefined;
}

function parseMarker(text: string): Marker | undefined {
  try {
    const { agent, daemon } = JSON.parse(text) as Partial<Marker>;
    const good = (mark: ProcessMark | undefined): mark is ProcessMark =>
      Number.isInteger(mark?.pid) && mark!.pid > 1 && typeof mark!.identity === "string" &&
      mark!.identity !== "";
    return good(agent) && good(daemon) ? { agent, daemon } : undefined;
  } catch {
    return undefined;
  }
}
