/**
 * WireGuard on Windows: wireguard-nt, run by the tunnel service of WireGuard for Windows, which sets
 * addresses and MTU; peers by `wg`, routes by `netsh`.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { AgentError, reasonOf, usageError } from "../../errors.ts";
import {
  isAdministrator,
  protectDirectory,
  type RunCommand,
  runCommand,
} from "../../platform/mod.ts";
import type { Backend, Network, PeerSet, TunnelState } from "../backend.ts";
import { networksOf, watchInterface } from "../interfaces.ts";
import type { Prefix } from "../prefixes.ts";
import { checkConfig, checkRanges } from "../settings.ts";
import { WgTool } from "../tool/mod.ts";
import type { DeviceConfig } from "../types.ts";
import { changeRoutes } from "./network.ts";
import { TunnelService, type WindowsFiles, type WindowsPaths, windowsPaths } from "./service.ts";

const READY_MS = 15_000;
const POLL_MS = 100;
/** How long the service may take to set addresses once the interface is there, ms. */
const ADDRESSES_MS = 5_000;
/** Names of devices, with or without an extension: no file can have them. */
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/** What the driver uses of the system; tests stand in for it. */
export interface WindowsHost {
  run: RunCommand;
  administrator(): Promise<boolean>;
  paths: WindowsPaths;
  files: WindowsFiles;
  interfaces(): Deno.NetworkInterfaceInfo[];
}

function realHost(): WindowsHost {
  return {
    run: runCommand,
    administrator: () => isAdministrator(),
    paths: windowsPaths((name) => Deno.env.get(name)),
    files: {
      protect: async (path) => {
        await Deno.mkdir(path, { recursive: true });
        await protectDirectory(path);
      },
      write: (path, text) => Deno.writeTextFile(path, text),
      remove: (path) => Deno.remove(path).catch(() => {}),
    },
    interfaces: Deno.networkInterfaces,
  };
}

/**
 * Opens the interface `config.name`. What a crashed agent left under that name is removed first. On
 * failure nothing is left behind. Throws `AgentError` with one sentence and the remedy.
 */
export async function openWindows(
  config: DeviceConfig,
  host: WindowsHost = realHost(),
): Promise<Backend> {
  const addresses = checkConfig(config);
  const { name } = config;
  if (RESERVED.test(name)) {
    throw usageError(
      `Cannot use ${name} as an interface name: Windows keeps it for a device; choose another ` +
        "--interface",
    );
  }
  if (!await host.administrator()) {
    throw new AgentError(
      "Cannot create a WireGuard interface: no administrator's rights; start the terminal as " +
        "administrator, or run nexd install there",
    );
  }
  const service = new TunnelService(name, host.paths, host.run, host.files);
  await clean(service);
  if (await service.owner() === "foreign") {
    throw new AgentError(
      `Cannot create interface ${name}: WireGuard has a tunnel of that name which is not nexd's; ` +
        `remove it or choose another --interface`,
    );
  }
  checkRanges(config, networksOf(host.interfaces(), name));
  const tool = new WgTool(name, host.paths.wg, host.run);
  try {
    await service.install(configurationOf(config, addresses));
    const { listenPort } = await ready(tool, name);
    await addressed(host, name, addresses, config.mtu);
    await service.forget();
    return new WireGuardNt(host, config, service, tool, listenPort);
  } catch (error) {
    await clean(service).catch(() => {});
    await service.forget();
    if (error instanceof AgentError) throw error;
    throw new AgentError(`Cannot open WireGuard interface ${name}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** Removes what a crashed agent left under this name. */
export async function cleanWindows(
  name: string,
  host: WindowsHost = realHost(),
): Promise<boolean> {
  return await clean(new TunnelService(name, host.paths, host.run, host.files));
}

/** The text of the configuration file: wg(8) and wg-quick(8) without peers. */
export function configurationOf(config: DeviceConfig, addresses: Prefix[]): string {
  const usable = addresses.filter(({ family }) => family === 4 || config.mtu >= 1280);
  return [
    "[Interface]",
    `PrivateKey = ${config.privateKey.toBase64()}`,
    ...(config.listenPort > 0 ? [`ListenPort = ${config.listenPort}`] : []),
    ...usable.map(({ cidr }) => `Address = ${cidr}`),
    `MTU = ${config.mtu}`,
    // Routes are ours: without this it removes all that it has not set, whenever it sets its own.
    "Table = off",
    "",
  ].join("\r\n");
}

class WireGuardNt implements Backend {
  readonly driver = "wireguard-nt";
  readonly name: string;
  readonly ipv6: boolean;
  readonly exited: Promise<string>;
  readonly #watch: ReturnType<typeof watchInterface>;

  constructor(
    readonly host: WindowsHost,
    config: DeviceConfig,
    readonly service: TunnelService,
    readonly tool: WgTool,
    readonly listenPort: number,
  ) {
    this.name = config.name;
    this.ipv6 = config.mtu >= 1280;
    this.#watch = watchInterface(this.name, host.interfaces);
    this.exited = this.#watch.gone;
  }

  read(): Promise<TunnelState> {
    return this.tool.read();
  }

  apply(changes: PeerSet[]): Promise<void> {
    return this.tool.apply(changes);
  }

  changeRoutes(add: string[], remove: string[]): Promise<Map<string, string>> {
    return changeRoutes(this.host.run, this.host.paths.netsh, this.name, add, remove);
  }

  neighbours(): Promise<Network[]> {
    return Promise.resolve(networksOf(this.host.interfaces(), this.name));
  }

  async close(): Promise<void> {
    this.#watch.stop();
    await clean(this.service);
  }
}

async function clean(service: TunnelService): Promise<boolean> {
  if (await service.owner() !== "ours") return false;
  await service.uninstall();
  return true;
}

/** Waits for the addresses, which come last; without them no route can be set. */
async function addressed(
  host: WindowsHost,
  name: string,
  addresses: Prefix[],
  mtu: number,
): Promise<void> {
  const wanted = addresses.filter(({ family }) => family === 4 || mtu >= 1280)
    .map(({ cidr }) => ipaddr.parse(cidr.replace(/\/.*/, "")).toNormalizedString());
  for (const end = Date.now() + ADDRESSES_MS; Date.now() < end;) {
    const there = new Set(
      host.interfaces().filter((entry) => entry.name === name).map(({ address }) =>
        ipaddr.parse(address.replace(/%.*/s, "")).toNormalizedString()
      ),
    );
    if (wanted.every((address) => there.has(address))) return;
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
  throw new AgentError(
    `Cannot open WireGuard interface ${name}: it has no address after ${ADDRESSES_MS} ms; is the ` +
      "address in use on another interface? wireguard /dumplog tells more",
  );
}

/** The service makes the interface behind its start. */
async function ready(tool: WgTool, name: string): Promise<TunnelState> {
  for (const end = Date.now() + READY_MS;;) {
    try {
      const state = await tool.read();
      if (state.listenPort > 0) return state;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    if (Date.now() > end) {
      throw new AgentError(
        `Cannot open WireGuard interface ${name}: it has no UDP port after ${READY_MS} ms; is the ` +
          `port in use? wireguard /dumplog tells more`,
      );
    }
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}
