/**
 * Stand-ins for addresses, as text for `nft`: one table of an interface's own.
 *
 * What arrives on the interface gets its own addresses before anything else looks at it (rules of
 * groups, connection tracking, the routing's check of sources), and what leaves gets stand-ins behind
 * all of that; so they are seen by WireGuard only. The packet filter mends the checksums. The chains
 * stay and their rules are replaced in one step: each packet is judged by the old or by the new ones.
 *
 * @module
 */
import { AgentError } from "../errors.ts";
import type { Alias, Crossing } from "../peering/mod.ts";

/** Before connection tracking (-200) and all filters; behind source NAT (100). */
const ARRIVING = -350, LEAVING = 400;

/** The name of an interface's table. Throws {@linkcode AgentError} for a name that is none to nft. */
export function tableOf(interfaceName: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(interfaceName)) {
    return `nexd-crossing-${interfaceName}`;
  }
  throw new AgentError(
    `Cannot name rules after the interface ${JSON.stringify(interfaceName)}: ` +
      `use letters, digits, "_", "." and "-" in its name`,
  );
}

/** Makes the table, or changes it to what is crossed now. */
export function rulesOf(interfaceName: string, crossings: readonly Crossing[]): string {
  const t = `inet ${tableOf(interfaceName)}`, name = JSON.stringify(interfaceName);
  const chain = (which: string, hook: string, priority: number) =>
    `add chain ${t} ${which} { type filter hook ${hook} priority ${priority}; policy accept; }`;
  const rule = (which: string, text: string) => `add rule ${t} ${which} ${text}`;
  const self = unique(crossings.flatMap((crossing) => crossing.self));
  const peers = crossings.flatMap(({ peer }) => peer);
  const lines = [
    `add table ${t}`,
    chain("arriving", "prerouting", ARRIVING),
    chain("leaving", "postrouting", LEAVING),
    `flush table ${t}`,
    ...peers.map((one) => rule("arriving", `iifname ${name} ${put("saddr", one.alias, one.own)}`)),
    ...self.map((one) => rule("arriving", `iifname ${name} ${put("daddr", one.alias, one.own)}`)),
  ];
  for (const { self, peer, sending } of crossings) {
    for (const to of sending ? peer : []) {
      for (const from of self.filter((one) => familyOf(one) === familyOf(to))) {
        const ip = familyOf(to), pair = `${ip} saddr ${bare(from.own)}`;
        const replace = `${ip} saddr set ${bare(from.alias)} ${ip} daddr set ${bare(to.alias)}`;
        lines.push(
          rule("leaving", `oifname ${name} ${pair} ${ip} daddr ${bare(to.own)} ${replace}`),
        );
      }
    }
  }
  return lines.join("\n") + "\n";
}

/** Removes the table, whether it is there or not. */
export function removalOf(interfaceName: string): string {
  const t = `inet ${tableOf(interfaceName)}`;
  return `add table ${t}\ndelete table ${t}\n`;
}

function put(side: "saddr" | "daddr", from: string, to: string): string {
  const ip = from.includes(":") ? "ip6" : "ip";
  return `${ip} ${side} ${bare(from)} ${ip} ${side} set ${bare(to)}`;
}

function familyOf({ own }: Alias): "ip" | "ip6" {
  return own.includes(":") ? "ip6" : "ip";
}

/** Of a host prefix the address. */
function bare(prefix: string): string {
  return prefix.split("/")[0]!;
}

function unique(aliases: Alias[]): Alias[] {
  return [...new Map(aliases.map((one) => [one.own, one])).values()];
}
