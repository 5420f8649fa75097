/**
 * WireGuard on macOS: wireguard-go with a `utun` interface, whose number the system gives.
 *
 * @module
 */
import { AgentError, reasonOf } from "../../errors.ts";
import { type RunCommand, runCommand } from "../../platform/mod.ts";
import type { Backend, Network, PeerSet, TunnelState } from "../backend.ts";
import { networksOf, watchInterface } from "../interfaces.ts";
import { checkConfig, checkRanges } from "../settings.ts";
import type { DeviceConfig } from "../types.ts";
import { applyChanges, configureTunnel, Daemon, findDaemon, readTunnel } from "../userspace/mod.ts";
import { cleanLeftover, removeMarker, writeMarker } from "./leftover.ts";
import { changeRoutes, configureLink } from "./network.ts";

/** Where wireguard-go makes its sockets (fixed in its source). */
const SOCKET_DIR = "/var/run/wireguard";
const NAME_MS = 10_000;

/** What the driver uses of the system; tests stand in for it. */
export interface MacHost {
  run: RunCommand;
  uid(): number | null;
  findDaemon(): Promise<string>;
  spawn(path: string, args: string[], env: Record<string, string>): MacDaemon;
  interfaces(): Deno.NetworkInterfaceInfo[];
  /** Directories of control sockets and of notes. */
  socketDir: string;
  markerDir?: string;
}

/** The part of a daemon that is used. */
export type MacDaemon = Pick<Daemon, "exited" | "ready" | "stop" | "pid">;

const REAL: MacHost = {
  run: runCommand,
  uid: Deno.uid,
  findDaemon,
  spawn: Daemon.spawn,
  interfaces: Deno.networkInterfaces,
  socketDir: SOCKET_DIR,
};

/**
 * Opens a `utun` interface; `config.name` is only what a crashed agent's is found by, unless it is a
 * `utunN` itself. On failure nothing is left behind. Throws `AgentError` with the remedy.
 */
export async function openMacos(config: DeviceConfig, host: MacHost = REAL): Promise<Backend> {
  const addresses = checkConfig(config);
  if (host.uid() !== 0) {
    throw new AgentError("Cannot create a utun interface: no permission; run nexd as root");
  }
  const path = await host.findDaemon();
  await cleanLeftover(host.run, config.name, host.markerDir);
  checkRanges(config, networksOf(host.interfaces(), ""));
  const wanted = /^utun\d{1,4}$/.test(config.name) ? config.name : "utun";
  const nameFile = await Deno.makeTempFile({ prefix: "nexd-utun-" });
  let daemon: MacDaemon | undefined;
  try {
    daemon = host.spawn(path, ["-f", wanted], { WG_TUN_NAME_FILE: nameFile });
    await writeMarker(host.run, config.name, daemon.pid, host.markerDir);
    const name = wanted === "utun" ? await givenName(nameFile, daemon) : wanted;
    const socket = `${host.socketDir}/${name}.sock`;
    await daemon.ready(socket);
    const listenPort = await configureTunnel(socket, config);
    await configureLink(host.run, name, config.mtu, addresses);
    return new MacosTunnel(host, config, name, listenPort, socket, daemon);
  } catch (error) {
    await daemon?.stop();
    await removeMarker(config.name, host.markerDir);
    // connect(2) on the system's control socket: EBUSY.
    if (wanted !== "utun" && /resource busy/i.test(reasonOf(error))) {
      throw new AgentError(
        `Cannot create ${wanted}: it exists already; choose another --interface, or utun for the ` +
          "next free one",
        { cause: error },
      );
    }
    if (error instanceof AgentError) throw error;
    throw new AgentError(`Cannot open a WireGuard interface: ${reasonOf(error)}`, { cause: error });
  } finally {
    await Deno.remove(nameFile).catch(() => {});
  }
}

/** Removes what a crashed agent left under this name. */
export function cleanMacos(name: string): Promise<boolean> {
  return cleanLeftover(runCommand, name);
}

class MacosTunnel implements Backend {
  readonly driver = "wireguard-go";
  readonly exited: Promise<string>;
  readonly #watch: ReturnType<typeof watchInterface>;

  constructor(
    readonly host: MacHost,
    readonly config: DeviceConfig,
    readonly name: string,
    readonly listenPort: number,
    readonly socket: string,
    readonly daemon: MacDaemon,
  ) {
    this.#watch = watchInterface(name, host.interfaces);
    this.exited = Promise.race([daemon.exited, this.#watch.gone]);
  }

  get ipv6(): boolean {
    return this.config.mtu >= 1280;
  }

  read(): Promise<TunnelState> {
    return readTunnel(this.socket);
  }

  apply(changes: PeerSet[]): Promise<void> {
    return applyChanges(this.socket, changes);
  }

  changeRoutes(add: string[], remove: string[]): Promise<Map<string, string>> {
    return changeRoutes(this.host.run, this.name, add, remove);
  }

  neighbours(): Promise<Network[]> {
    return Promise.resolve(networksOf(this.host.interfaces(), this.name));
  }

  async close(): Promise<void> {
    this.#watch.stop();
    // The interface is the daemon's, with its addresses and routes.
    await this.daemon.stop();
    await removeMarker(this.config.name, this.host.markerDir);
  }
}

/** The daemon writes the interface's name into a file once it has it. */
async function givenName(file: string, daemon: MacDaemon): Promise<string> {
  let ended: string | undefined;
  daemon.exited.then((reason) => ended = reason);
  for (const end = Date.now() + NAME_MS; Date.now() < end && ended === undefined;) {
    const name = (await Deno.readTextFile(file).catch(() => "")).trim();
    if (/^utun\d{1,4}$/.test(name)) return name;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new AgentError(
    `Cannot create the WireGuard interface: ${ended ?? "wireguard-go names no interface"}`,
  );
}
