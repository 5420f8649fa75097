/**
 * Interfaces, addresses and routes through iproute2. Every argument is checked before it gets here
 * (names by `settings.ts`, prefixes by `prefixes.ts`): lines of a batch are split at white space by
 * `ip`.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { AgentError, reasonOf } from "../../errors.ts";
import { linuxSockets, runIp, runIpBatch } from "../../platform/mod.ts";
import type { Prefix } from "../prefixes.ts";
import { portTaken } from "../settings.ts";

const logger = getLogger(["nexd", "agent", "wireguard"]);
const WATCH_MS = 500;
const EADDRINUSE_TEXT = /Address already in use/;

/** Whether this network namespace has an interface of that name. */
export async function linkExists(name: string): Promise<boolean> {
  return (await runIp(["link", "show", "dev", name])).code === 0;
}

/** A new network namespace has loopback down; the proxy's endpoints need it. */
export async function ensureLoopbackUp(): Promise<void> {
  const { stdout } = await runIp(["-json", "link", "show", "dev", "lo"]);
  if (/"flags":\[[^\]]*"UP"/.test(stdout)) return;
  const { code, stderr } = await runIp(["link", "set", "dev", "lo", "up"]);
  if (code !== 0) {
    throw new AgentError(
      `Cannot bring up the loopback interface: ${reasonOf(stderr)}; run ip link set lo up`,
    );
  }
}

/** Why interface `name` with this MTU cannot have IPv6; undefined when it can. */
export async function ipv6Obstacle(name: string, mtu: number): Promise<string | undefined> {
  if (mtu < 1280) return `its MTU ${mtu} is below 1280`;
  try {
    const text = await Deno.readTextFile(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`);
    return text.trim() === "0" ? undefined : "IPv6 is disabled on this host";
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? "this host has no IPv6" : undefined;
  }
}

/** Addresses, MTU, link up. False when the interface goes without IPv6. */
export async function configureLink(
  name: string,
  mtu: number,
  addresses: Prefix[],
  listenPort: number,
): Promise<boolean> {
  const run = async (lines: string[]) => {
    const [failure] = await runIpBatch(lines);
    if (failure === undefined) return;
    // The kernel's WireGuard binds its port when the link comes up.
    if (EADDRINUSE_TEXT.test(failure.reason) && failure.line.endsWith(" up")) {
      throw portTaken(listenPort);
    }
    throw new AgentError(
      `Cannot configure interface ${name}: "ip ${failure.line}" says ${failure.reason}`,
    );
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

/** See `Backend.changeRoutes`. */
export async function changeRoutes(
  name: string,
  add: string[],
  remove: string[],
): Promise<Map<string, string>> {
  const line = (verb: string, prefix: string) => `route ${verb} ${prefix} dev ${name}`;
  // Never "replace": that would take over a route of the same prefix on another interface.
  const failures = await runIpBatch([
    ...add.map((prefix) => line("add", prefix)),
    ...remove.map((prefix) => line("del", prefix)),
  ]);
  const reasons = new Map(failures.map((failure) => [failure.line, failure.reason]));
  return new Map(
    add.flatMap((prefix) => {
      const reason = reasons.get(line("add", prefix));
      return reason === undefined ? [] : [[prefix, reason]];
    }),
  );
}

/** Index of an interface of this network namespace; undefined when there is none of that name. */
export async function linkIndex(name: string): Promise<number | undefined> {
  const sockets = linuxSockets();
  if (sockets !== undefined) {
    return sockets.if_nametoindex(new TextEncoder().encode(`${name}\0`)) || undefined;
  }
  const text = await Deno.readTextFile(`/sys/class/net/${name}/ifindex`).catch(() => "");
  return Number(text.trim()) || undefined;
}

/** An interface under watch. */
interface LinkWatch {
  /** Resolves with the reason when the interface goes or another takes its name; not after `stop`. */
  readonly gone: Promise<string>;
  stop(): void;
}

/** Looks each half second whether the interface is still there. */
export async function watchLink(name: string): Promise<LinkWatch> {
  const index = await linkIndex(name);
  const { promise, resolve } = Promise.withResolvers<string>();
  const look = async () => {
    if (await linkIndex(name) !== index) resolve(`interface ${name} was removed`);
  };
  const timer = setInterval(look, WATCH_MS);
  Deno.unrefTimer(timer);
  return { gone: promise, stop: () => clearInterval(timer) };
}

/** Packets that a TUN interface has carried both ways; undefined when the kernel does not say. */
export function carriedBy(name: string): number | undefined {
  try {
    // That of /sys is another network namespace's where it was mounted outside of this one.
    return parseCarried(Deno.readTextFileSync("/proc/net/dev"), name);
  } catch {
    return undefined;
  }
}

/** Packets in both directions of an interface in `/proc/net/dev` (proc_pid_net(5)). Pure. */
export function parseCarried(text: string, name: string): number | undefined {
  for (const line of text.split("\n")) {
    const [owner = "", counters = ""] = line.split(":", 2);
    if (owner.trim() !== name) continue;
    // Eight counters of what was received, then those of what was sent: bytes, packets, …
    const [, received, , , , , , , , sent] = counters.trim().split(/\s+/);
    const packets = Number(received) + Number(sent);
    return Number.isSafeInteger(packets) ? packets : undefined;
  }
  return undefined;
}
