/**
 * The networks that this host is in by other interfaces, from the kernel's routing tables as text
 * (proc(5), `/proc/net/route` and `/proc/net/ipv6_route`): cheap enough for each pass.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import type { Network } from "../backend.ts";

const RTF_UP = 0x1, RTF_GATEWAY = 0x2, RTF_REJECT = 0x200;
/** Interfaces without link-layer addresses, tunnels: nobody there is a neighbour to be cut off from. */
const ARPHRD_NONE = "65534";
const MAX_NETWORKS = 256;

/** Networks that are reached directly, without a gateway, by an interface that is not `own`. */
export async function neighbours(own: string): Promise<Network[]> {
  const read = (path: string) => Deno.readTextFile(path).catch(() => "");
  const found = [
    ...parseRoutes(await read("/proc/net/route"), own),
    ...parseRoutes6(await read("/proc/net/ipv6_route"), own),
  ];
  const kinds = new Map<string, string>([[own, ARPHRD_NONE], ["lo", ARPHRD_NONE]]);
  const networks: Network[] = [];
  for (const network of found) {
    const name = network.interfaceName;
    if (!kinds.has(name)) kinds.set(name, (await read(`/sys/class/net/${name}/type`)).trim());
    if (kinds.get(name) !== ARPHRD_NONE && networks.length < MAX_NETWORKS) networks.push(network);
  }
  return networks;
}

/**
 * Connected networks of `/proc/net/route`; lines it does not understand are none. Pure.
 *
 * @param own an interface whose lines are skipped: it has one for each peer
 */
export function parseRoutes(text: string, own?: string): Network[] {
  const networks: Network[] = [];
  for (const line of text.split("\n").slice(1)) {
    if (own !== undefined && line.startsWith(`${own}\t`)) continue;
    const [interfaceName = "", destination = "", , flags = "", , , , mask = ""] = line.split("\t");
    if (!direct(Number.parseInt(flags, 16)) || !/^[0-9A-F]{8}$/.test(destination)) continue;
    // In the byte order of the host, which is little-endian wherever the runtime runs.
    const bytes = [...Uint8Array.fromHex(destination)].reverse();
    const bits = ones(Number.parseInt(mask, 16));
    if (bits === 0 || bits === 32) continue;
    networks.push({ cidr: `${bytes.join(".")}/${bits}`, interfaceName });
  }
  return networks;
}

/** Connected networks of `/proc/net/ipv6_route`, but link-local and multicast ones. Pure; the same. */
export function parseRoutes6(text: string, own?: string): Network[] {
  const networks: Network[] = [];
  for (const line of text.split("\n")) {
    if (own !== undefined && line.endsWith(` ${own}`)) continue;
    const [destination = "", length = "", , , hop = "", , , , flags = "", interfaceName = ""] = line
      .trim().split(/ +/);
    if (!direct(Number.parseInt(flags, 16)) || !/^[0-9a-f]{32}$/.test(destination)) continue;
    const bits = Number.parseInt(length, 16);
    if (!/^0+$/.test(hop) || bits === 0 || bits === 128 || /^f(e[89ab]|f)/.test(destination)) {
      continue;
    }
    const address = ipaddr.fromByteArray([...Uint8Array.fromHex(destination)]);
    networks.push({ cidr: `${address}/${bits}`, interfaceName });
  }
  return networks;
}

function direct(flags: number): boolean {
  return (flags & RTF_UP) !== 0 && (flags & (RTF_GATEWAY | RTF_REJECT)) === 0;
}

function ones(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest = (rest & (rest - 1)) >>> 0) count++;
  return count;
}
