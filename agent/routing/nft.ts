/**
 * The packet filter's part, as text for `nft`: one table of an interface's own, replaced as a whole
 * in one step. Pure, but for running it.
 *
 * @module
 */
import { AgentError, reasonOf } from "../errors.ts";
import { UNDERLAY_MARK, UNDERLAY_MASK } from "../host/mod.ts";
import { runCommand } from "../platform/mod.ts";

/** What packets of one IP version may come from or go to. */
export interface Networks {
  4: readonly string[];
  6: readonly string[];
}

/** What a host that carries packets for others lets through. */
export interface Forwarding {
  /** `relay`: from peer to peer; `router`: between peers and what is behind this host. */
  mode: "relay" | "router";
  /** The VPC's ranges and the networks behind its peers. */
  peers: Networks;
  /** Networks behind this host. */
  own: Networks;
  /** Peers may go anywhere from here. */
  exitNode: boolean;
  /** Packets to the networks behind this host keep the peers' addresses. */
  disableNat: boolean;
  /** Interfaces that forwarded nothing before this host was asked to. */
  before: { 4: readonly string[]; 6: readonly string[] };
}

/** What the table holds. */
export interface Filter {
  /** Networks behind peers are routed here: nobody may speak in the name of the host's own. */
  checkSources: boolean;
  /** An exit node is in use: connections from outside are answered there. */
  exitInUse: boolean;
  forwarding?: Forwarding;
}

const hex = (n: number) => `0x${n.toString(16).padStart(8, "0")}`;
const KEEP = hex(~UNDERLAY_MASK >>> 0), MARK = hex(UNDERLAY_MARK), MASK = hex(UNDERLAY_MASK);
const SIZE = "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu";

/** The name of an interface's table: letters, digits and `_` only. */
export function tableOf(interfaceName: string): string {
  const safe = interfaceName.replace(
    /[^A-Za-z0-9]/g,
    (char) => `_${char.charCodeAt(0).toString(16)}_`,
  );
  return `nexd_routing_${safe}`;
}

/** What `nft -f -` reads: the table as it shall be, in place of what there is; none for an empty one. */
export function tableText(interfaceName: string, filter: Filter): string {
  const table = `inet ${tableOf(interfaceName)}`;
  const wg = `"${interfaceName}"`;
  const { forwarding } = filter;
  const body = [
    ...(filter.checkSources ? sourceChain(wg) : []),
    ...(filter.exitInUse ? replyChains(wg) : []),
    ...(forwarding === undefined ? [] : forwardChains(wg, forwarding)),
  ];
  // Declared first, so that deleting it is right whether it was there or not.
  const fresh = `table ${table} {}\ndelete table ${table}\n`;
  return body.length === 0 ? fresh : `${fresh}table ${table} {\n${body.join("\n")}\n}\n`;
}

/** A peer's packet is taken only from where an answer to it would go. */
function sourceChain(wg: string): string[] {
  return [
    "chain sources {",
    "  type filter hook prerouting priority raw; policy accept;",
    `  iifname ${wg} fib saddr . iif oif missing counter drop`,
    "}",
  ];
}

/** Connections to this host from outside, and the agent's own, stay outside in both directions. */
function replyChains(wg: string): string[] {
  const own = (mark: string) => `${mark} & ${MASK} == ${MARK}`;
  const set = (mark: string) => `${mark} set ${mark} & ${KEEP} | ${MARK}`;
  return [
    "chain arriving {",
    "  type filter hook prerouting priority mangle; policy accept;",
    `  iifname { ${wg}, "lo" } accept`,
    `  ct state new fib daddr type local ${set("ct mark")}`,
    `  ${own("ct mark")} ${set("meta mark")}`,
    "}",
    "chain leaving {",
    "  type route hook output priority mangle; policy accept;",
    `  ${own("meta mark")} ${set("ct mark")}`,
    `  ${own("ct mark")} ${set("meta mark")}`,
    "}",
  ];
}

function forwardChains(wg: string, forwarding: Forwarding): string[] {
  const { mode, peers, own, before } = forwarding;
  return [
    ...setOf("peers4", "ipv4_addr", peers[4]),
    ...setOf("peers6", "ipv6_addr", peers[6]),
    ...setOf("own4", "ipv4_addr", own[4]),
    ...setOf("own6", "ipv6_addr", own[6]),
    ...setOf("before4", "ifname", before[4].map((name) => `"${name}"`)),
    ...setOf("before6", "ifname", before[6].map((name) => `"${name}"`)),
    "chain forward {",
    "  type filter hook forward priority filter; policy accept;",
    "  meta nfproto ipv4 iifname @before4 oifname @before4 drop",
    "  meta nfproto ipv6 iifname @before6 oifname @before6 drop",
    `  iifname != ${wg} oifname != ${wg} accept`,
    ...(mode === "relay" ? relayRules(wg) : routerRules(wg, forwarding)),
    "  counter drop",
    "}",
    ...(mode === "router" ? natChain(wg, forwarding) : []),
  ];
}

function relayRules(wg: string): string[] {
  return [
    `  iifname ${wg} oifname ${wg} ip saddr @peers4 ip daddr @peers4 accept`,
    `  iifname ${wg} oifname ${wg} ip6 saddr @peers6 ip6 daddr @peers6 accept`,
  ];
}

function routerRules(wg: string, { exitNode }: Forwarding): string[] {
  return [
    `  oifname ${wg} ${SIZE}`,
    `  iifname ${wg} oifname ${wg} drop`,
    "  ct state established,related accept",
    `  iifname ${wg} ip saddr @peers4 ip daddr @own4 accept`,
    `  iifname ${wg} ip6 saddr @peers6 ip6 daddr @own6 accept`,
    `  oifname ${wg} ip saddr @own4 ip daddr @peers4 accept`,
    `  oifname ${wg} ip6 saddr @own6 ip6 daddr @peers6 accept`,
    ...(exitNode
      ? [
        // The host's link, where clouds hand out its credentials, over IPv6 at addresses of their own.
        `  iifname ${wg} ip daddr 169.254.0.0/16 drop`,
        `  iifname ${wg} ip6 daddr { fd00:ec2::/32, fd20:ce::254 } drop`,
        `  iifname ${wg} ip saddr @peers4 accept`,
        `  iifname ${wg} ip6 saddr @peers6 accept`,
      ]
      : []),
  ];
}

function natChain(wg: string, { exitNode, disableNat }: Forwarding): string[] {
  const out = `oifname != { "lo", ${wg} }`;
  const verdict = disableNat ? "accept" : "masquerade";
  return [
    "chain outwards {",
    "  type nat hook postrouting priority srcnat; policy accept;",
    `  ${out} ip saddr @peers4 ip daddr @own4 ${verdict}`,
    `  ${out} ip6 saddr @peers6 ip6 daddr @own6 ${verdict}`,
    ...(exitNode
      ? [`  ${out} ip saddr @peers4 masquerade`, `  ${out} ip6 saddr @peers6 masquerade`]
      : []),
    "}",
  ];
}

function setOf(name: string, type: string, elements: readonly string[]): string[] {
  const interval = type === "ifname" ? [] : ["  flags interval", "  auto-merge"];
  return [
    `set ${name} {`,
    `  type ${type}`,
    ...interval,
    ...(elements.length === 0 ? [] : [`  elements = { ${elements.join(", ")} }`]),
    "}",
  ];
}

/** Whether the table is there: others may flush the whole packet filter. */
export async function hasTable(interfaceName: string): Promise<boolean> {
  const { code } = await runCommand("nft", ["list", "table", "inet", tableOf(interfaceName)]);
  return code === 0;
}

/**
 * Runs `nft` with this text, all of it or nothing.
 *
 * @throws {AgentError} with what it said
 */
export async function runNft(text: string): Promise<void> {
  const { code, stderr } = await runCommand("nft", ["-f", "-"], {
    input: text,
    remedy: "run apt-get install nftables",
  });
  if (code === 0) return;
  throw new AgentError(`The packet filter refuses the rules of routing: ${reasonOf(stderr, 160)}`);
}
