/**
 * What stands in the way on this host: routes, sizes, a firewall.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { cleanText } from "../errors.ts";
import { about, type Finding } from "./finding.ts";
import { systemProgram } from "../platform/mod.ts";
import { GET_NET_ROUTE, macRoutes, windowsRoutes } from "./route_tables.ts";
import type { System } from "./system.ts";

const POWERSHELL = () => systemProgram("WindowsPowerShell\\v1.0\\powershell.exe");

/** A VPC's ranges when nothing is known of it yet: the control plane's usual ones. */
const USUAL_RANGES = ["100.64.0.0/10", "200::/64"];
/** MTU of the tunnel, and what WireGuard, UDP and IPv4 or IPv6 add, bytes. */
const TUNNEL_MTU = 1420, OVER_IPV4 = 60, OVER_IPV6 = 80;
/** Most conflicts that are told. */
const MAX_TOLD = 3;

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** Whether two prefixes have an address in common. */
function overlap([a, lengthA]: Range, [b, lengthB]: Range): boolean {
  if (a.kind() !== b.kind()) return false;
  const length = Math.min(lengthA, lengthB);
  return a instanceof ipaddr.IPv4
    ? a.match(b as ipaddr.IPv4, length)
    : (a as ipaddr.IPv6).match(b as ipaddr.IPv6, length);
}

function rangeOf(text: string): Range | undefined {
  try {
    if (text.includes("/")) return ipaddr.parseCIDR(text) as Range;
    const address = ipaddr.parse(text);
    return [address, address.kind() === "ipv4" ? 32 : 128];
  } catch {
    return undefined;
  }
}

/** The VPC's ranges as the agent remembers them. */
async function vpcRanges(system: System, stateDir: string): Promise<string[]> {
  try {
    const { vpc } = JSON.parse(await system.read(`${stateDir}/cache.json`) ?? "");
    const ranges = [vpc.ipv4_cidr, vpc.ipv6_cidr].filter((range) => typeof range === "string");
    if (ranges.length > 0) return ranges;
  } catch { /* no agent has run here yet */ }
  return USUAL_RANGES;
}

/** One route of `ip -json route`. */
interface Route {
  dst?: string;
  dev?: string;
  table?: string;
  type?: string;
}

/** All routes, by the programs of this system. */
async function routesOf(system: System): Promise<Route[]> {
  const ask = async (program: string, ...args: string[]) => {
    const { code, stdout } = await system.run(program, args);
    return code === 0 ? stdout : "";
  };
  switch (system.os) {
    case "darwin": {
      const tables = ["inet", "inet6"].map((family) =>
        ask("/usr/sbin/netstat", "-rn", "-f", family)
      );
      return (await Promise.all(tables)).flatMap(macRoutes);
    }
    case "windows":
      return windowsRoutes(
        await ask(POWERSHELL(), "-NoProfile", "-NonInteractive", "-Command", GET_NET_ROUTE),
      );
    default: {
      const tables = ["-4", "-6"].map((family) =>
        ask("ip", "-json", family, "route", "show", "table", "all")
      );
      return (await Promise.all(tables)).flatMap((text) => JSON.parse(text || "[]"));
    }
  }
}

/** Routes of others into the VPC's ranges. */
export async function checkRoutes(
  system: System,
  { stateDir, interfaceName, status }: {
    stateDir: string;
    interfaceName: string;
    status?: { interface: string } | undefined;
  },
): Promise<Finding[]> {
  const say = about("routes");
  const ranges = await vpcRanges(system, stateDir);
  const routes = await routesOf(system);
  // macOS numbers its interfaces: only the agent knows which is its own.
  const own = status?.interface ?? interfaceName;
  const conflicts = routes.filter(({ dst = "", dev, type = "unicast" }) => {
    if (dev === own || type !== "unicast" || dst === "default") return false;
    const range = rangeOf(dst);
    return range !== undefined && range[1] > 0 &&
      ranges.some((vpc) => overlap(range, rangeOf(vpc) ?? range));
  });
  if (conflicts.length === 0) return [say.ok(`none but ours into ${ranges.join(" and ")}`)];
  return conflicts.slice(0, MAX_TOLD).map(({ dst, dev = "?", table }) =>
    say.broken(
      `${dst} leads to ${dev}${table === undefined ? "" : ` (table ${table})`}, and lies in the ` +
        `VPC's range ${ranges.join(" or ")}`,
      /^(tailscale|ts)/i.test(dev)
        ? "Tailscale uses the same range: give the VPC another one (private_cidr), or end tailscaled"
        : `end what made it, or give the VPC another range${
          system.os === "linux" ? `; see ip route show dev ${dev}` : ""
        }`,
    )
  );
}

/** Does a tunnel packet fit the way out? */
export async function checkMtu(system: System): Promise<Finding[]> {
  if (system.os !== "linux") return [];
  const say = about("MTU");
  const { code, stdout } = await system.run("ip", ["-json", "-4", "route", "get", "1.1.1.1"]);
  const dev: unknown = code === 0 ? JSON.parse(stdout)?.[0]?.dev : undefined;
  if (typeof dev !== "string" || !/^[\w.@-]{1,32}$/.test(dev)) {
    return [
      about("network").broken("there is no route to the Internet", "connect it; see ip route"),
    ];
  }
  // Not /sys/class/net, which may show another namespace's.
  const link = await system.run("ip", ["-json", "link", "show", "dev", dev]);
  const mtu: unknown = link.code === 0 ? JSON.parse(link.stdout)?.[0]?.mtu : undefined;
  if (typeof mtu !== "number") return [];
  const text = `${mtu} bytes on ${dev}`;
  if (mtu >= TUNNEL_MTU + OVER_IPV6) return [say.ok(text)];
  if (mtu >= TUNNEL_MTU + OVER_IPV4) {
    return [say.note(`${text}: enough over IPv4, too little over IPv6`)];
  }
  return [say.warning(
    `${text}: the tunnel's packets (up to ${TUNNEL_MTU + OVER_IPV4} bytes) are sent in pieces`,
    `raise it (ip link set ${dev} mtu 1500) where the network allows, or lower the tunnel's`,
  )];
}

/** A firewall of this host that lets nothing in by itself. */
export async function checkFirewall(
  system: System,
  { status }: { status: { listen_port: number } | undefined },
): Promise<Finding[]> {
  if (system.os !== "linux" || await system.find("nft") === undefined) return [];
  const say = about("firewall");
  const { code, stdout, stderr } = await system.run("nft", ["-s", "list", "ruleset"]);
  if (code !== 0) return [say.note(`cannot be read: ${cleanText(stderr, 80)}`)];
  const port = status === undefined ? "WireGuard's" : String(status.listen_port);
  const drops = [...stdout.matchAll(/^table (\S+) (\S+) \{([^]*?)^\}/gm)].flatMap((
    [, family, name, body],
  ) =>
    [...body!.matchAll(/hook (input|output) [^;]*; policy drop;/g)].map(([, hook]) =>
      `${family} ${name}, ${hook}`
    )
  );
  if (drops.length === 0) return [say.ok("no rule set that drops all it does not know")];
  return drops.slice(0, MAX_TOLD).map((where) =>
    say.note(
      `what is not allowed is dropped (table ${cleanText(where, 60)})`,
      `allow UDP port ${port} in, and UDP out, or direct paths may fail`,
    )
  );
}
