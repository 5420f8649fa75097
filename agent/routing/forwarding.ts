/**
 * Turning the kernel's forwarding on for a host that carries packets for others, and off again.
 *
 * @module
 */
import { AgentError, reasonOf } from "../errors.ts";
import type { Claims } from "./claims.ts";

const V4 = "/proc/sys/net/ipv4/ip_forward";
const V6 = "/proc/sys/net/ipv6/conf";
const V6_ALL = `${V6}/all/forwarding`;
/** A name that may stand in a rule. */
const NAME = /^[A-Za-z0-9_.@:=+-]{1,15}$/;

/** Interfaces that must not forward between each other only because we turned forwarding on. */
export interface Before {
  4: string[];
  6: string[];
}

/** All interfaces but the tunnel, for each IP version that does not forward yet. */
export async function interfacesBefore(tunnel: string): Promise<Before> {
  const off = async (path: string) =>
    (await Deno.readTextFile(path).catch(() => "1")).trim() === "0";
  const table = await Deno.readTextFile("/proc/net/dev").catch(() => "");
  const names = [...table.matchAll(/^\s*([^\s:]\S*?):/gm)].map(([, name]) => name!)
    .filter((name) => name !== tunnel && name !== "lo" && NAME.test(name));
  return { 4: await off(V4) ? names : [], 6: await off(V6_ALL) ? names : [] };
}

/**
 * Turns forwarding on for both IP versions.
 *
 * @throws {AgentError} when the kernel does not let us
 */
export async function forwardOn(claims: Claims): Promise<void> {
  try {
    await claims.set(V4, "1");
    if ((await Deno.readTextFile(V6_ALL).catch(() => undefined)) === undefined) return;
    await keepRoutersAdvice(claims);
    await claims.set(V6_ALL, "1");
  } catch (error) {
    throw new AgentError(
      `Cannot turn on forwarding: ${reasonOf(error)}; set net.ipv4.ip_forward=1 and ` +
        "net.ipv6.conf.all.forwarding=1 on this host, or run nexd as root",
      { cause: error },
    );
  }
}

/** A host that forwards IPv6 drops the default routes it learnt from routers, unless it is told not to. */
async function keepRoutersAdvice(claims: Claims): Promise<void> {
  for await (const { name } of Deno.readDir(V6)) {
    const path = `${V6}/${name}/accept_ra`;
    const [accept, forwarding] = await Promise.all(
      [path, `${V6}/${name}/forwarding`].map((file) => Deno.readTextFile(file).catch(() => "")),
    );
    if (accept?.trim() === "1" && forwarding?.trim() === "0" && name !== "all") {
      await claims.set(path, "2");
    }
  }
}
