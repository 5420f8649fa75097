/**
 * WireGuard of the Linux kernel: an interface made by iproute2 and configured by `wg`. It is marked
 * as ours by its alias, and goes only when it still carries that mark.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { AgentError, reasonOf } from "../../errors.ts";
import { runIp } from "../../platform/mod.ts";
import type { Backend, Network, PeerSet, TunnelState } from "../backend.ts";
import { checkConfig, checkRanges } from "../settings.ts";
import { WgTool } from "../tool/mod.ts";
import type { DeviceConfig } from "../types.ts";
import {
  aliasOf,
  cleanLeftover,
  openNames,
  removeMarked,
  removeMarker,
  writeMarker,
} from "./leftover.ts";
import { changeRoutes, configureLink, ensureLoopbackUp, linkExists, watchLink } from "./network.ts";
import { neighbours } from "./neighbours.ts";
import { checkPermission } from "./permission.ts";

const logger = getLogger(["nexd", "agent", "wireguard"]);

/** Kernel WireGuard cannot be had on this host; another driver may do. */
export class KernelUnavailable extends AgentError {
  override name = "KernelUnavailable";
}

/**
 * Opens the interface `config.name` of the kernel's WireGuard. What a crashed agent left under that
 * name is removed first. On failure nothing is left behind. Throws {@linkcode KernelUnavailable}
 * where there is no such WireGuard, else `AgentError` with one sentence and the remedy.
 */
export async function openKernel(config: DeviceConfig): Promise<Backend> {
  const addresses = checkConfig(config);
  const { name } = config;
  await checkPermission(name);
  await findTool();
  await cleanLeftover(name);
  if (openNames.has(name)) throw new AgentError(`Interface ${name} is open already`);
  checkRanges(config, await neighbours(name));
  openNames.add(name);
  let token: string | undefined;
  try {
    await ensureLoopbackUp();
    token = await writeMarker(name);
    await createLink(name, token);
    const tool = new WgTool(name);
    const { privateKey, mark = 0 } = config;
    await tool.configure({ privateKey, listenPort: config.listenPort, mark });
    const ipv6 = await configureLink(name, config.mtu, addresses, config.listenPort);
    const { listenPort } = await tool.read();
    return new Kernel(name, listenPort, ipv6, token, tool, await watchLink(name));
  } catch (error) {
    await cleanUp(name, token).catch((trouble) =>
      logger.warn("{reason}", { reason: reasonOf(trouble) })
    );
    if (error instanceof AgentError) throw error;
    throw new AgentError(`Cannot open WireGuard interface ${name}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

class Kernel implements Backend {
  readonly driver = "kernel";
  readonly exited: Promise<string>;
  readonly #removed = Promise.withResolvers<string>();

  constructor(
    readonly name: string,
    readonly listenPort: number,
    readonly ipv6: boolean,
    readonly token: string,
    readonly tool: WgTool,
    readonly watch: Awaited<ReturnType<typeof watchLink>>,
  ) {
    this.exited = Promise.race([watch.gone, this.#removed.promise]);
  }

  read(): Promise<TunnelState> {
    return this.#noticing(() => this.tool.read());
  }

  apply(changes: PeerSet[]): Promise<void> {
    return this.#noticing(() => this.tool.apply(changes));
  }

  changeRoutes(add: string[], remove: string[]): Promise<Map<string, string>> {
    return changeRoutes(this.name, add, remove);
  }

  neighbours(): Promise<Network[]> {
    return neighbours(this.name);
  }

  async close(): Promise<void> {
    this.watch.stop();
    await cleanUp(this.name, this.token);
  }

  async #noticing<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (!await linkExists(this.name)) {
        this.#removed.resolve(`interface ${this.name} was removed`);
      }
      throw error;
    }
  }
}

async function findTool(): Promise<void> {
  const dirs = (Deno.env.get("PATH") ?? "").split(":").filter((dir) => dir.startsWith("/"));
  for (const dir of dirs) {
    if ((await Deno.stat(`${dir}/wg`).catch(() => undefined))?.isFile) return;
  }
  throw new KernelUnavailable(
    "Cannot use the kernel's WireGuard: wg is not in PATH; run apt-get install wireguard-tools",
  );
}

async function createLink(name: string, token: string): Promise<void> {
  // One process for both, so that a crash of ours does not come between them. It stops at an error.
  const { code, stderr } = await runIp(
    ["-batch", "-"],
    `link add dev ${name} type wireguard\nlink set dev ${name} alias ${aliasOf(token)}\n`,
  );
  if (code === 0) return;
  if (/File exists/.test(stderr)) {
    throw new AgentError(
      `Cannot create interface ${name}: it exists and is not nexd's; remove it with ` +
        `ip link delete ${name} or choose another --interface`,
    );
  }
  const reason = reasonOf(stderr.replace(/^(RTNETLINK answers|Error): |^Command failed.*$/gm, ""));
  if (/not supported|[Uu]nknown device type/.test(stderr)) {
    throw new KernelUnavailable(
      `Cannot use the kernel's WireGuard: ${reason}; run modprobe wireguard, or let ` +
        "wireguard-go drive it",
    );
  }
  throw new AgentError(`Cannot create interface ${name}: ${reason}`);
}

/** Removes the interface if it is ours still. */
async function cleanUp(name: string, token: string | undefined): Promise<void> {
  // What stays keeps its mark, and is a crash's leftover from now on.
  openNames.delete(name);
  if (token === undefined) return;
  await removeMarked(name, token);
  await removeMarker(name);
}
