/**
 * What the runtime tells of the host's interfaces, the same on every system.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import type { Network } from "./backend.ts";

const WATCH_MS = 1000;

/** What is used of an interface's entry. */
type Entry = Pick<Deno.NetworkInterfaceInfo, "name" | "address" | "netmask">;

/**
 * The networks that the host is in by interfaces other than `own`: not loopback, link-local, or
 * single addresses, as tunnels have them.
 */
export function networksOf(entries: readonly Entry[], own: string): Network[] {
  const networks = new Map<string, Network>();
  for (const { name, address, netmask } of entries) {
    if (name === own) continue;
    try {
      const [host, mask] = [ipaddr.parse(address.replace(/%.*/s, "")), ipaddr.parse(netmask)];
      const bits = mask.prefixLengthFromSubnetMask();
      const bytes = host.toByteArray();
      if (bits === null || bits === 0 || bits === bytes.length * 8) continue;
      if (["loopback", "linkLocal", "multicast", "unspecified"].includes(host.range())) continue;
      const masked = bytes.map((byte, i) => byte & mask.toByteArray()[i]!);
      const cidr = `${ipaddr.fromByteArray(masked)}/${bits}`;
      networks.set(`${cidr} ${name}`, { cidr, interfaceName: name });
    } catch {
      // An entry in an unknown spelling is no network to keep off.
    }
  }
  return [...networks.values()];
}

/** Resolves with the reason when no interface has that name any more; looks once a second. */
export function watchInterface(
  name: string,
  list: () => readonly Entry[] = Deno.networkInterfaces,
): { readonly gone: Promise<string>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<string>();
  let seen = false;
  const timer = setInterval(() => {
    const there = list().some((entry) => entry.name === name);
    // Without an address an interface may be missing from the list from the beginning.
    if (seen && !there) resolve(`interface ${name} was removed`);
    seen ||= there;
  }, WATCH_MS);
  Deno.unrefTimer(timer);
  return { gone: promise, stop: () => clearInterval(timer) };
}
