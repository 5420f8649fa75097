/**
 * What a crashed agent leaves: a wireguard-go daemon and, as long as it runs, its interface, or an
 * interface of the kernel's WireGuard. Before either is made, a marker file names the interface, the
 * agent, and a random token that the daemon carries in its environment and the kernel's interface in
 * its alias; so there is no moment at which ours cannot be told from anybody's.
 *
 * @module
 */

import { AgentError, reasonOf } from "../../errors.ts";
import { removeIfEmpty, runIp, writeFileAtomic } from "../../platform/mod.ts";
import { uapiRequest } from "../userspace/uapi_client.ts";
import { checkInterfaceName } from "../settings.ts";

/** Where the markers are: gone after a reboot, like what they mark. */
const MARKER_DIR = "/run/nexd";
/** Where wireguard-go makes its sockets (fixed in its source). */
export const SOCKET_DIR = "/var/run/wireguard";
/** Environment variable with the token. */
export const TOKEN_ENV = "NEXD_DEVICE_TOKEN";
const STOP_MS = 2000;

interface Marker {
  interface: string;
  token: string;
  agentPid: number;
  /** Clock ticks since boot, from `/proc/PID/stat`: a reused pid has another. */
  agentStart: string;
}

/** Interfaces that this process has open. */
export const openNames: Set<string> = new Set();

/** Marks the interface as ours; returns the token for the daemon's environment. */
export async function writeMarker(name: string): Promise<string> {
  const token = crypto.getRandomValues(new Uint8Array(16)).toHex();
  const marker: Marker = {
    interface: name,
    token,
    agentPid: Deno.pid,
    agentStart: await startTime(Deno.pid) ?? "",
  };
  const write = async () => {
    await Deno.mkdir(MARKER_DIR, { recursive: true, mode: 0o755 });
    await writeFileAtomic(markerPath(name), JSON.stringify(marker) + "\n", 0o600);
  };
  try {
    // Another agent that ends may take the directory away in between, once.
    await write().catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return write();
    });
  } catch (error) {
    throw new AgentError(
      `Cannot write ${markerPath(name)}: ${
        reasonOf(error)
      }; run nexd as root, or mount a writable /run`,
      { cause: error },
    );
  }
  return token;
}

/** Takes the mark off. */
export async function removeMarker(name: string): Promise<void> {
  await removeIfThere(markerPath(name));
  await removeIfEmpty(MARKER_DIR);
}

/**
 * Removes the daemon, interface and socket that a crashed agent left under this name: only what
 * carries our mark. True when there was something. Throws when the name belongs to a running agent.
 */
export async function cleanLeftover(name: string): Promise<boolean> {
  checkInterfaceName(name);
  const marker = await readMarker(name);
  if (!marker) return false;
  const own = marker.agentPid === Deno.pid;
  const alive = own
    ? openNames.has(name)
    : marker.agentStart !== "" && await startTime(marker.agentPid) === marker.agentStart;
  if (alive) {
    throw new AgentError(
      `Interface ${name} belongs to a running nexd (pid ${marker.agentPid}); stop it or choose ` +
        `another --interface`,
    );
  }
  const pids = await daemonsWith(marker.token);
  for (const pid of pids) await stopProcess(pid);
  const link = await removeMarked(name, marker.token);
  const path = `${SOCKET_DIR}/${name}.sock`;
  // A daemon out of our sight, in another process namespace: it keeps its mark.
  if (await socketState(path) === "alive" && !link) return false;
  const socket = await removeDeadSocket(path);
  await removeMarker(name);
  return pids.length > 0 || socket || link;
}

/** The alias that marks an interface of the kernel's WireGuard. */
export function aliasOf(token: string): string {
  return `nexd:${token}`;
}

/**
 * Removes the interface of that name if it carries our mark. False when there is none such. Throws
 * when it stays: its mark must stay, too.
 */
export async function removeMarked(
  name: string,
  token: string,
  run: typeof runIp = runIp,
): Promise<boolean> {
  const { code, stdout } = await run(["-json", "link", "show", "dev", name]);
  if (code !== 0 || !stdout.includes(`"ifalias":"${aliasOf(token)}"`)) return false;
  const removed = await run(["link", "delete", "dev", name]);
  if (removed.code === 0) return true;
  if (/Cannot find device/.test(removed.stderr)) return false;
  throw new AgentError(
    `Cannot remove interface ${name}: ${reasonOf(removed.stderr)}; run ip link delete ${name}`,
  );
}

/** Removes a socket file that nobody listens on. False when there is none, or somebody does. */
export async function removeDeadSocket(path: string): Promise<boolean> {
  return await socketState(path) === "dead" && await removeIfThere(path);
}

/** Whether a daemon listens on a control socket. */
export async function socketState(path: string): Promise<"absent" | "dead" | "alive"> {
  try {
    await uapiRequest(path, "get=1\n\n", 1000);
    return "alive";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "absent";
    return error instanceof Deno.errors.ConnectionRefused ? "dead" : "alive";
  }
}

function markerPath(name: string): string {
  return `${MARKER_DIR}/${name}.json`;
}

async function readMarker(name: string): Promise<Marker | undefined> {
  try {
    const value = JSON.parse(await Deno.readTextFile(markerPath(name))) as Partial<Marker>;
    if (
      value.interface === name && typeof value.agentStart === "string" &&
      typeof value.token === "string" && /^[0-9a-f]{32}$/.test(value.token) &&
      Number.isInteger(value.agentPid)
    ) return value as Marker;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (!(error instanceof SyntaxError)) throw error;
  }
  // Half a marker marks nothing.
  await removeMarker(name);
  return undefined;
}

async function removeIfThere(path: string): Promise<boolean> {
  try {
    await Deno.remove(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Start time of a live process; undefined when there is none (or only a zombie). */
async function startTime(pid: number): Promise<string | undefined> {
  try {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    // The command name may hold spaces and parentheses: fields count from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Processes that have the token in their environment. */
async function daemonsWith(token: string): Promise<number[]> {
  const found: number[] = [];
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    try {
      const environment = await Deno.readTextFile(`/proc/${entry.name}/environ`);
      if (environment.split("\0").includes(`${TOKEN_ENV}=${token}`)) found.push(Number(entry.name));
    } catch {
      // It ended meanwhile, or is not ours to read.
    }
  }
  return found;
}

async function stopProcess(pid: number): Promise<void> {
  const started = await startTime(pid);
  const gone = async () => started === undefined || await startTime(pid) !== started;
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    if (await gone()) return;
    try {
      Deno.kill(pid, signal);
    } catch {
      return;
    }
    for (const end = Date.now() + STOP_MS; Date.now() < end;) {
      if (await gone()) return;
      await new Promise((done) => setTimeout(done, 5));
    }
  }
}
