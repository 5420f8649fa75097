/**
 * WireGuard by wireguard-go: a TUN interface of a daemon that is our child, configured over its
 * control socket; addresses and routes by iproute2.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { publicKeyOf } from "../../relay/derp/mod.ts";
import { AgentError, reasonOf } from "../errors.ts";
import { runIp } from "../platform/mod.ts";
import type { DeviceConfig, PeerConfig, PeerStats, WireGuardDevice } from "./types.ts";
import { checkHost, Daemon, findDaemon } from "./daemon.ts";
import { checkInterfaceName, ensureLoopbackUp, ipBatch, ipv6Obstacle, linkExists } from "./ip.ts";
import {
  cleanLeftover,
  openNames,
  removeDeadSocket,
  removeMarker,
  SOCKET_DIR,
  socketState,
  writeMarker,
} from "./leftover.ts";
import {
  checkPeers,
  diffPeers,
  keyFromHex,
  type PeerTable,
  routesOf,
  type Skipped,
} from "./plan.ts";
import { parseInterfaceAddress, type Prefix, PrefixError } from "./prefixes.ts";
import { encodeSet, GET_REQUEST, parseGetAnswer, parseSetAnswer, UapiError } from "./uapi.ts";
import { uapiRequest } from "./uapi_client.ts";

const logger = getLogger(["nexd", "agent", "wireguard"]);
const EADDRINUSE = 98;
const BOUND_MS = 3000;
const ROUTE_RETRY_MS = 30_000;

/**
 * Opens the interface `config.name`: starts the daemon, sets key and port, addresses, MTU, link up.
 * What a crashed agent left under that name is removed first. On failure nothing is left behind.
 * Throws `AgentError` with one sentence and the remedy: no permission, no TUN device, no
 * wireguard-go, name or port taken, malformed address.
 */
export async function openWireGuardGo(config: DeviceConfig): Promise<WireGuardDevice> {
  const addresses = checkConfig(config);
  const { name } = config;
  await checkHost(name);
  const path = await findDaemon();
  await cleanLeftover(name);
  const socket = `${config.socketDir ?? SOCKET_DIR}/${name}.sock`;
  await checkNameFree(name, socket);
  openNames.add(name);
  let daemon: Daemon | undefined;
  try {
    await ensureLoopbackUp();
    daemon = Daemon.spawn(path, name, await writeMarker(name));
    await daemon.ready(socket);
    const listenPort = await configure(socket, config);
    const ipv6 = await configureLink(name, config.mtu, addresses);
    await waitBound(socket, listenPort);
    logger.info("Interface {name} is up on UDP port {listenPort}", { name, listenPort });
    return new WireGuardGo(name, listenPort, socket, daemon, config.privateKey, ipv6);
  } catch (error) {
    await daemon?.stop();
    await cleanUp(name, socket);
    if (error instanceof AgentError) throw error;
    throw new AgentError(`Cannot open WireGuard interface ${name}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

class WireGuardGo implements WireGuardDevice {
  readonly name: string;
  readonly listenPort: number;
  readonly exited: Promise<string>;
  readonly #socket: string;
  readonly #daemon: Daemon;
  readonly #ownKey: string;
  /** Without it IPv6 routes are left out. */
  readonly #ipv6: boolean;
  /** What was set last; undefined: unknown after a failure, to be read back. */
  #applied: PeerTable | undefined = new Map();
  /** Routes that we added. */
  readonly #routes = new Set<string>();
  /** Routes that could not be added, mostly because the prefix has one elsewhere. */
  readonly #refused = new Map<string, { reason: string; again: number }>();
  /** What was logged as left out, so that it is said once. */
  #said = new Set<string>();
  #work: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #dead: string | undefined;

  constructor(
    name: string,
    listenPort: number,
    socket: string,
    daemon: Daemon,
    privateKey: Uint8Array,
    ipv6: boolean,
  ) {
    this.name = name;
    this.listenPort = listenPort;
    this.#socket = socket;
    this.#daemon = daemon;
    this.#ownKey = publicKeyOf(privateKey).toHex();
    this.#ipv6 = ipv6;
    this.exited = new Promise((resolve) => {
      daemon.exited.then((reason) => {
        this.#dead = reason;
        if (this.#closing === undefined) resolve(reason);
      });
    });
  }

  setPeers(peers: PeerConfig[]): Promise<void> {
    const done = this.#work.then(() => this.#setPeers(peers));
    this.#work = done.catch(() => {});
    return done;
  }

  async stats(): Promise<PeerStats[]> {
    return (await this.#read()).peers.map((peer) => ({
      publicKey: keyFromHex(peer.publicKey),
      ...(peer.endpoint !== undefined && { endpoint: peer.endpoint }),
      ...(peer.lastHandshake > 0 && { lastHandshake: peer.lastHandshake }),
      rxBytes: peer.rxBytes,
      txBytes: peer.txBytes,
      allowedIps: peer.allowedIps,
    }));
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    // The interface is the daemon's: it goes with it, and its addresses and routes go too.
    await this.#daemon.stop();
    await this.#work;
    await cleanUp(this.name, this.#socket);
  }

  async #setPeers(peers: PeerConfig[]): Promise<void> {
    const applied = this.#applied ?? await this.#readBack();
    const { wanted, skipped } = checkPeers(peers, applied, this.#ownKey);
    this.#say(skipped);
    const changes = diffPeers(applied, wanted);
    if (changes.length > 0) {
      this.#applied = undefined;
      await this.#request(async () => {
        parseSetAnswer(await uapiRequest(this.#socket, encodeSet({}, changes)));
      });
      this.#applied = wanted;
    }
    // New routes come after the peers that carry them, old ones go after new ones stand.
    await this.#setRoutes(routesOf(wanted));
  }

  async #setRoutes(wanted: Set<string>): Promise<void> {
    const now = Date.now();
    for (const prefix of this.#refused.keys()) {
      if (!wanted.has(prefix)) this.#refused.delete(prefix);
    }
    const add = [...wanted].filter((prefix) =>
      !this.#routes.has(prefix) && (this.#ipv6 || !prefix.includes(":")) &&
      (this.#refused.get(prefix)?.again ?? 0) <= now
    );
    const remove = [...this.#routes].filter((prefix) => !wanted.has(prefix));
    if (add.length + remove.length === 0) return;
    const line = (verb: string, prefix: string) => `route ${verb} ${prefix} dev ${this.name}`;
    for (const prefix of remove) this.#routes.delete(prefix);
    // Never "replace": that would take over a route of the same prefix on another interface.
    const failures = await ipBatch([
      ...add.map((prefix) => line("add", prefix)),
      ...remove.map((prefix) => line("del", prefix)),
    ]);
    const reasons = new Map(failures.map((failure) => [failure.line, failure.reason]));
    for (const prefix of add) {
      const reason = reasons.get(line("add", prefix));
      if (reason === undefined) {
        this.#routes.add(prefix);
        this.#refused.delete(prefix);
        continue;
      }
      if (this.#refused.get(prefix)?.reason !== reason) {
        logger.warn("Route {prefix} on {name} left out: {reason}", {
          prefix,
          name: this.name,
          reason,
        });
      }
      this.#refused.set(prefix, { reason, again: now + ROUTE_RETRY_MS });
    }
  }

  /** After a failed request: what the device has now. */
  async #readBack(): Promise<PeerTable> {
    const { peers } = await this.#read();
    return new Map(peers.map((peer) => [peer.publicKey, {
      ...(peer.endpoint !== undefined && { endpoint: peer.endpoint }),
      keepaliveSeconds: peer.keepaliveSeconds,
      allowedIps: peer.allowedIps.sort(),
    }]));
  }

  #read() {
    return this.#request(async () => parseGetAnswer(await uapiRequest(this.#socket, GET_REQUEST)));
  }

  async #request<T>(action: () => Promise<T>): Promise<T> {
    if (this.#closing) throw new AgentError(`Interface ${this.name} is closed`);
    try {
      return await action();
    } catch (error) {
      const reason = this.#dead ?? reasonOf(error);
      throw new AgentError(`Cannot talk to WireGuard interface ${this.name}: ${reason}`, {
        cause: error,
      });
    }
  }

  #say(skipped: Skipped[]): void {
    const now = new Set<string>();
    for (const { subject, reason } of skipped) {
      const text = `${subject}: ${reason}`;
      now.add(text);
      if (!this.#said.has(text)) {
        logger.warn("Left out on {name}: {text}", { name: this.name, text });
      }
    }
    this.#said = now;
  }
}

function checkConfig(config: DeviceConfig): Prefix[] {
  checkInterfaceName(config.name);
  if (config.privateKey.length !== 32) throw new AgentError("A private key has 32 bytes");
  const { listenPort, mtu } = config;
  if (!Number.isInteger(listenPort) || listenPort < 0 || listenPort > 65535) {
    throw new AgentError(`Cannot listen on UDP port ${listenPort}: choose 0 to 65535`);
  }
  if (!Number.isInteger(mtu) || mtu < 576 || mtu > 65535) {
    throw new AgentError(`Cannot set MTU ${mtu}: choose 576 to 65535`);
  }
  return config.addresses.map((address) => {
    try {
      return parseInterfaceAddress(address);
    } catch (error) {
      if (!(error instanceof PrefixError)) throw error;
      throw new AgentError(
        `Cannot give ${config.name} the address ${reasonOf(address, 64)}: ${error.message}`,
      );
    }
  });
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

/** Sets key and port. The daemon binds while it answers, so a taken port is told here. */
async function configure(socket: string, config: DeviceConfig): Promise<number> {
  for (let attempt = 1;; attempt++) {
    const listenPort = config.listenPort || freePort();
    const request = encodeSet({ privateKey: config.privateKey.toHex(), listenPort, fwmark: 0 });
    try {
      parseSetAnswer(await uapiRequest(socket, request));
      return listenPort;
    } catch (error) {
      if (!(error instanceof UapiError) || error.errno !== EADDRINUSE) throw error;
      if (config.listenPort === 0 && attempt < 5) continue;
      throw portTaken(listenPort);
    }
  }
}

function portTaken(port: number): AgentError {
  return new AgentError(
    `Cannot listen on UDP port ${port}: port in use; stop the other program or choose another ` +
      `--listen-port`,
  );
}

function freePort(): number {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
  socket.close();
  return (socket.addr as Deno.NetAddr).port;
}

/** Addresses, MTU, link up. False when the interface goes without IPv6. */
async function configureLink(name: string, mtu: number, addresses: Prefix[]): Promise<boolean> {
  const run = async (lines: string[]) => {
    const [failure] = await ipBatch(lines);
    if (failure) {
      throw new AgentError(
        `Cannot configure interface ${name}: "ip ${failure.line}" says ${failure.reason}`,
      );
    }
  };
  const add = (address: Prefix) => `address add ${address.cidr} dev ${name}`;
  await run([
    `link set dev ${name} mtu ${mtu}`,
    ...addresses.filter((address) => address.family === 4).map(add),
    `link set dev ${name} up`,
  ]);
  const obstacle = await ipv6Obstacle(name, mtu);
  if (obstacle === undefined) {
    // A tunnel address is given by the control plane: there is nobody to ask for duplicates.
    await run(
      addresses.filter((address) => address.family === 6).map((address) => `${add(address)} nodad`),
    );
  } else if (addresses.some((address) => address.family === 6)) {
    logger.warn("Interface {name} goes without IPv6: {obstacle}", { name, obstacle });
  }
  return obstacle === undefined;
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
    const { listenPort } = parseGetAnswer(await uapiRequest(socket, GET_REQUEST));
    if (listenPort !== port) break;
    const table = await Deno.readTextFile("/proc/net/udp").catch(() => undefined);
    if (table === undefined || entry.test(table)) return;
    await new Promise((done) => setTimeout(done, 5));
  }
  throw portTaken(port);
}

/** After the daemon's end: what it could not remove itself. */
async function cleanUp(name: string, socket: string): Promise<void> {
  await removeDeadSocket(socket);
  if (await linkExists(name)) await runIp(["link", "delete", "dev", name]);
  await removeMarker(name);
  openNames.delete(name);
}
