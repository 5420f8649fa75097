/**
 * The wireguard-go process of one interface: what it needs on this host, its start, its end.
 *
 * @module
 */

import { AgentError, reasonOf } from "../../errors.ts";
import { uapiRequest } from "./uapi_client.ts";
import { GET_REQUEST } from "./uapi.ts";

const NAMES = ["nexd-wireguard-go", "wireguard-go"];
/** Where Homebrew (on both processors) and MacPorts put it: sudo and launchd do not look there. */
export const MAC_PLACES: readonly string[] = [
  "/opt/homebrew/bin",
  "/usr/local/bin",
  "/opt/local/bin",
];
const READY_MS = 10_000;
const STOP_MS = 2000;

/** Looks the daemon up in PATH. Throws with the remedy when there is none. */
export async function findDaemon(
  path: string = Deno.env.get("PATH") ?? "",
  os: typeof Deno.build.os = Deno.build.os,
): Promise<string> {
  const places = [...path.split(":"), ...(os === "darwin" ? MAC_PLACES : [])];
  for (const name of NAMES) {
    for (const dir of places.filter((dir) => dir.startsWith("/"))) {
      const candidate = `${dir}/${name}`;
      const info = await Deno.stat(candidate).catch(() => undefined);
      if (info?.isFile && ((info.mode ?? 0) & 0o111) !== 0) return candidate;
    }
  }
  throw new AgentError(
    "Cannot start WireGuard: wireguard-go is not in PATH; " +
      (os === "darwin"
        ? "run brew install wireguard-go, not as root, which Homebrew refuses"
        : "run apt-get install wireguard-go"),
  );
}

/** A running wireguard-go. */
export class Daemon {
  /** Resolves with the reason when the process ends, wanted or not. */
  readonly exited: Promise<string>;
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    const messages = Promise.all([tail(child.stdout), tail(child.stderr)]);
    this.exited = Promise.all([child.status, messages]).then(([status, [out, err]]) => {
      const how = status.signal ? `signal ${status.signal}` : `exit code ${status.code}`;
      const last = reasonOf(err || out);
      return `wireguard-go ended (${how})${last ? `: ${last}` : ""}`;
    });
  }

  /** Starts it in the foreground as our child, with nothing but `env` in its environment. */
  static spawn(path: string, args: string[], env: Record<string, string>): Daemon {
    const child = new Deno.Command(path, {
      args,
      clearEnv: true,
      env: {
        PATH: Deno.env.get("PATH") ?? "",
        WG_PROCESS_FOREGROUND: "1",
        LOG_LEVEL: "error",
        ...env,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      // Ctrl-C in a terminal goes to the whole process group: the agent ends its daemon itself.
      detached: true,
    }).spawn();
    return new Daemon(child);
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Waits until the control socket answers. Throws when the process ends first or never answers. */
  async ready(socket: string): Promise<void> {
    let ended: string | undefined;
    const end = this.exited.then((reason) => ended = reason);
    const deadline = Date.now() + READY_MS;
    for (let pause = 2; ended === undefined; pause = Math.min(pause * 2, 50)) {
      try {
        await uapiRequest(socket, GET_REQUEST, READY_MS);
        return;
      } catch (error) {
        const starting = error instanceof Deno.errors.NotFound ||
          error instanceof Deno.errors.ConnectionRefused;
        if (ended === undefined && (!starting || Date.now() > deadline)) {
          throw new AgentError(`Cannot reach wireguard-go at ${socket}: ${reasonOf(error)}`);
        }
      }
      let timer: ReturnType<typeof setTimeout> | undefined;
      await Promise.race([end, new Promise((done) => timer = setTimeout(done, pause))]);
      clearTimeout(timer);
    }
    throw new AgentError(`Cannot create the WireGuard interface: ${ended}`);
  }

  /** Ends it, by force after two seconds, and waits for its end. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#signal("SIGKILL"), STOP_MS);
    this.#signal("SIGTERM");
    await this.#child.status;
    clearTimeout(timer);
    await this.exited;
  }

  #signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended already.
    }
  }
}

/** The last of what the daemon says, read to the end so that it never blocks in a write. */
async function tail(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  try {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      text = (text + decoder.decode(chunk, { stream: true })).slice(-1000);
    }
  } catch {
    // A broken pipe ends the text, nothing else.
  }
  return text.trim().split("\n").at(-1) ?? "";
}
