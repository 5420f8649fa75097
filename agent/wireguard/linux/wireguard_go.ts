/**
 * WireGuard by wireguard-go: a TUN interface of a daemon that is our child, configured over its
 * control socket; addresses and routes by iproute2.
 *
 * @module
 */

import { runRealtime } from "../../../relay/net/mod.ts";
import { AgentError, reasonOf } from "../../errors.ts";
import type { Backend, Network, PeerSet, TunnelState } from "../backend.ts";
import { checkConfig, checkRanges, portTaken } from "../settings.ts";
import type { DeviceConfig } from "../types.ts";
import { applyChanges, configureTunnel, Daemon, findDaemon, readTunnel } from "../userspace/mod.ts";
import {
  cleanLeftover,
  openNames,
  removeDeadSocket,
  removeMarker,
  SOCKET_DIR,
  socketState,
  TOKEN_ENV,
  writeMarker,
} from "./leftover.ts";
import {
  carriedBy,
  changeRoutes,
  configureLink,
  ensureLoopbackUp,
  linkExists,
  watchLink,
} from "./network.ts";
import { neighbours } from "./neighbours.ts";
import { checkPermission, checkTun } from "./permission.ts";
import { raiseReceiveBuffers } from "./receive_buffer.ts";

const BOUND_MS = 3000;
/** How long a daemon may take to end behind its interface, ms. */
const END_MS = 300;

/**
 * Opens the interface `config.name`: starts the daemon, sets key and port, addresses, MTU, link up.
 * What a crashed agent left under that name is removed first. On failure nothing is left behind.
 * Throws `AgentError` with one sentence and the remedy: no permission, no TUN device, no
 * wireguard-go, name or port taken, malformed address.
 */
export async function openWireGuardGo(config: DeviceConfig): Promise<Backend> {
  const addresses = checkConfig(config);
  const { name } = config;
  await checkPermission(name);
  await checkTun();
  const path = await findDaemon();
  await cleanLeftover(name);
  const socket = `${SOCKET_DIR}/${name}.sock`;
  await checkNameFree(name, socket);
  checkRanges(config, await neighbours(name));
  openNames.add(name);
  let daemon: Daemon | undefined;
  try {
    await ensureLoopbackUp();
    const token = await writeMarker(name);
    // The daemon inherits it: as a stage of the same path, it is either in that class with us or not.
    const normal = runRealtime(config.realtime ?? "off");
    daemon = Daemon.spawn(path, ["-f", name], { [TOKEN_ENV]: token });
    await daemon.ready(socket);
    const listenPort = await configureTunnel(socket, config);
    const ipv6 = await configureLink(name, config.mtu, addresses, listenPort);
    await waitBound(socket, listenPort);
    raiseReceiveBuffers(daemon.pid);
    const watch = await watchLink(name);
    const scheduling = normal === undefined ? "real-time" : `normal: ${normal}`;
    return new WireGuardGo(name, listenPort, ipv6, scheduling, socket, daemon, watch);
  } catch (error) {
    await daemon?.stop();
    await cleanUp(name, socket);
    if (error instanceof AgentError) throw error;
    throw new AgentError(`Cannot open WireGuard interface ${name}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

class WireGuardGo implements Backend {
  readonly driver = "wireguard-go";
  readonly exited: Promise<string>;

  constructor(
    readonly name: string,
    readonly listenPort: number,
    readonly ipv6: boolean,
    readonly scheduling: string,
    readonly socket: string,
    readonly daemon: Daemon,
    readonly watch: Awaited<ReturnType<typeof watchLink>>,
  ) {
    // A daemon that ends takes its interface with it: its own words say more.
    const gone = watch.gone.then((reason) =>
      Promise.race([
        daemon.exited,
        new Promise<string>((done) => setTimeout(() => done(reason), END_MS)),
      ])
    );
    this.exited = Promise.race([daemon.exited, gone]);
  }

  read(): Promise<TunnelState> {
    return readTunnel(this.socket);
  }

  apply(changes: PeerSet[]): Promise<void> {
    return applyChanges(this.socket, changes);
  }

  changeRoutes(add: string[], remove: string[]): Promise<Map<string, string>> {
    return changeRoutes(this.name, add, remove);
  }

  neighbours(): Promise<Network[]> {
    return neighbours(this.name);
  }

  carried(): number | undefined {
    return carriedBy(this.name);
  }

  async close(): Promise<void> {
    this.watch.stop();
    // The interface is the daemon's: it goes with it, and its addresses and routes go too.
    await this.daemon.stop();
    await cleanUp(this.name, this.socket);
  }
}

/** The socket is checked too: the directory is one for all network namespaces, names are not. */
async function checkNameFree(name: string, socket: string): Promise<void> {
  if (openNames.has(name)) throw new AgentError(`Interface ${name} is open already`);
  if (await linkExists(name)) {
    throw new AgentError(
      `Cannot create interface ${name}: it exists and is not nexd's; remove it with ` +
        `ip link delete ${name} or choose another --interface`,
    );
  }
  if (await socketState(socket) === "alive") {
    throw new AgentError(
      `Cannot create interface ${name}: another WireGuard daemon answers at ${socket} (of another ` +
        `network namespace?); stop it or choose another --interface`,
    );
  }
  await removeDeadSocket(socket);
}

/**
 * The daemon binds its port when it sees the link come up, and only logs when that fails: wait until
 * the port is there.
 */
async function waitBound(socket: string, port: number): Promise<void> {
  const entry = new RegExp(
    `^\\s*\\d+: [0-9A-F]{8}:${port.toString(16).toUpperCase().padStart(4, "0")} `,
    "m",
  );
  for (const end = Date.now() + BOUND_MS; Date.now() < end;) {
    const { listenPort } = await readTunnel(socket);
    if (listenPort !== port) break;
    const table = await Deno.readTextFile("/proc/net/udp").catch(() => undefined);
    if (table === undefined || entry.test(table)) return;
    await new Promise((done) => setTimeout(done, 5));
  }
  throw portTaken(port);
}

/** After the daemon's end, and so its interface's: what it could not remove itself. */
async function cleanUp(name: string, socket: string): Promise<void> {
  await removeDeadSocket(socket);
  await removeMarker(name);
  openNames.delete(name);
}
