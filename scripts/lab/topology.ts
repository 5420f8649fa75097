/**
 * The lab's map, as data and as the text `ip` and `nft` read: which namespaces there are, how they
 * are wired and what each router does to packets. Nothing here touches the machine.
 *
 * ```
 *                     203.0.113.0/24 ("the Internet": a bridge in the lab's own namespace, .1)
 *      ┌───────────────┬───────────────┬──────────────────┐
 *  control .2       relay .3     router-a .11        router-b .12 …
 *                                     │ NAT                │ NAT
 *                              192.168.1.0/24       192.168.2.0/24
 *                                a  .10               b  .10
 * ```
 *
 * @module
 */

/** What a host's router does with packets to and from the Internet. */
export type NatKind = "symmetric" | "cone" | "open";

/** Every {@linkcode NatKind}, hardest to traverse first. */
export const NAT_KINDS: readonly NatKind[] = ["symmetric", "cone", "open"];

/** The fewest and the most agent hosts in one lab. */
export const MIN_HOSTS = 1, MAX_HOSTS = 16;

/** One host of the lab: a machine of its own as far as its processes can tell. */
export interface HostPlan {
  name: string;
  /** IPv4 address on its own link. */
  address: string;
  /** IPv4 address others see: the router's for a host behind NAT. */
  publicAddress: string;
  /** Absent for the servers, which stand on the Internet themselves. */
  nat?: NatKind;
  /** The router before this host; absent for the servers. */
  router?: RouterPlan;
}

/** One home router. */
export interface RouterPlan {
  name: string;
  wan: string;
  lan: string;
  nat: NatKind;
}

/** Everything needed to build one lab. */
export interface Topology {
  hosts: HostPlan[];
  routers: RouterPlan[];
}

const WAN = "203.0.113"; // TEST-NET-3, RFC 5737
const PUBLIC_LANS = "198.51.100"; // TEST-NET-2, RFC 5737: one /30 per host that has no NAT
const GATEWAY = `${WAN}.1`;
const SERVERS = [{ name: "control", address: `${WAN}.2` }, { name: "relay", address: `${WAN}.3` }];
/** A wildcard certificate cannot be asked for here, so each name is listed. */
const SERVER_NAMES: Record<string, string[]> = {
  control: ["control", "api.control", "auth.control"],
};

/** Name of the agent host with the given index: `a`, `b`, … `p`. */
function hostName(index: number): string {
  return String.fromCharCode("a".charCodeAt(0) + index);
}

/** Plans a lab with one NAT kind per agent host, in order. */
export function planTopology(nats: readonly NatKind[]): Topology {
  const hosts: HostPlan[] = SERVERS.map((s) => ({ ...s, publicAddress: s.address }));
  const routers: RouterPlan[] = [];
  nats.forEach((nat, i) => {
    const lan = nat === "open" ? `${PUBLIC_LANS}.${4 * i + 1}/30` : `192.168.${i + 1}.1/24`;
    const address = nat === "open" ? `${PUBLIC_LANS}.${4 * i + 2}` : `192.168.${i + 1}.10`;
    const router = { name: `router-${hostName(i)}`, wan: `${WAN}.${11 + i}`, lan, nat };
    routers.push(router);
    hosts.push({
      name: hostName(i),
      address,
      publicAddress: nat === "open" ? address : router.wan,
      nat,
      router,
    });
  });
  return { hosts, routers };
}

/** `ip -batch` text for the lab's own namespace: all namespaces, the bridge and every cable. */
export function wanBatch({ hosts, routers }: Topology): string {
  const lines = [
    "link set lo up",
    "link add wan type bridge stp_state 0 forward_delay 0",
    "link set wan addrgenmode none up",
    `address add ${GATEWAY}/24 dev wan`,
  ];
  for (const { name } of [...hosts, ...routers]) lines.push(`netns add ${name}`);
  for (const end of [...hosts.filter((h) => !h.router), ...routers]) {
    const nic = "wan" in end ? "wan" : "eth0";
    lines.push(
      `link add to-${end.name} type veth peer name ${nic} netns ${end.name}`,
      `link set to-${end.name} master wan addrgenmode none up`,
    );
  }
  for (const { name, router } of hosts) {
    if (!router) continue;
    lines.push(
      `link add lan netns ${router.name} type veth peer name eth0 netns ${name}`,
    );
    if (router.nat === "open") {
      lines.push(`route add ${networkOf(router.lan)} via ${router.wan} dev wan`);
    }
  }
  return lines.join("\n") + "\n";
}

/** `ip -batch` text for one host's namespace. */
export function hostBatch(host: HostPlan): string {
  const [prefix, gateway] = host.router
    ? [host.router.lan.split("/")[1], host.router.lan.split("/")[0]]
    : ["24", GATEWAY];
  return [
    "link set lo up",
    "link set eth0 addrgenmode none up",
    `address add ${host.address}/${prefix} dev eth0`,
    `route add default via ${gateway}`,
  ].join("\n") + "\n";
}

/** `ip -batch` text for one router's namespace. */
export function routerBatch(router: RouterPlan): string {
  return [
    "link set lo up",
    "link set wan addrgenmode none up",
    "link set lan addrgenmode none up",
    `address add ${router.wan}/24 dev wan`,
    `address add ${router.lan} dev lan`,
    `route add default via ${GATEWAY}`,
  ].join("\n") + "\n";
}

/**
 * `nft -f` text for one router.
 *
 * - `symmetric`: a random source port for every connection, so for every destination (RFC 4787
 *   "address and port-dependent mapping").
 * - `cone`: the source port is kept, so one mapping serves every destination ("endpoint-independent
 *   mapping"), while packets pass inwards only from where one was sent ("address and port-dependent
 *   filtering").
 * - `open`: routes both ways.
 *
 * Behind a NAT unasked packets die in the input hook. That is not only the filter: a packet that
 * got through to the router itself would leave a conntrack entry holding that port, and the host's
 * own packet to the same peer a moment later would be given another port. Hole punching, where both
 * sides send at once, would then fail on a NAT that is called a cone.
 */
export function routerRules(router: RouterPlan): string {
  if (router.nat === "open") return "";
  return `table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "wan" masquerade${router.nat === "symmetric" ? " fully-random" : ""}
  }
}
table ip filter {
  chain input {
    type filter hook input priority filter;
    iifname "wan" ct state established,related accept
    iifname "wan" drop
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    iifname "lan" accept
    ct state established,related accept
  }
}
`;
}

/** `/etc/hosts` of one host. Written in place by whoever edits it: the file is a bind mount. */
export function hostsFile(host: HostPlan, { hosts }: Topology): string {
  const lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"];
  for (const server of hosts.filter((h) => !h.router)) {
    lines.push(`${server.address} ${(SERVER_NAMES[server.name] ?? [server.name]).join(" ")}`);
  }
  if (host.router) lines.push(`${host.address} ${host.name}`);
  return lines.join("\n") + "\n";
}

function networkOf(cidr: string): string {
  const [address = "", prefix] = cidr.split("/");
  const octets = address.split(".").map(Number);
  octets[3] = (octets[3] ?? 0) & ~((1 << (32 - Number(prefix))) - 1) & 0xff;
  return `${octets.join(".")}/${prefix}`;
}
