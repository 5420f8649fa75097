/**
 * The nftables table of one interface, as the text of one transaction.
 *
 * The chains stay and only their rules are replaced: a packet is judged by the old rules or by the
 * new ones, never by none, and connections keep their state. (Deleting the table and making it anew
 * in one transaction has a moment in which a packet can pass the new chain before, and the old one
 * after the change.)
 *
 * No neighbour discovery is let through on its own: a WireGuard interface has no neighbours. Errors
 * that connections need, such as "packet too big", count as related to them, for both families.
 *
 * @module
 */
import { AgentError } from "../errors.ts";
import type { Match, Policy } from "./rules.ts";

/** Name of the table that belongs to an interface. Throws {@linkcode AgentError} for a name that is none. */
export function tableOf(interfaceName: string): string {
  return `nexd-groups-${checkedName(interfaceName)}`;
}

/** Makes the table, or changes it to this policy. */
export function rulesetOf(table: string, interfaceName: string, policy: Policy): string {
  const name = JSON.stringify(checkedName(interfaceName));
  const t = `inet ${table}`;
  const hook = (chain: string) =>
    `add chain ${t} ${chain} { type filter hook ${chain} priority filter; policy accept; }`;
  const { inbound, outbound } = policy;
  const lines = [`add table ${t}`];
  lines.push(...["input", "output", "forward"].map(hook));
  lines.push(`add chain ${t} inbound`, `add chain ${t} outbound`, `flush table ${t}`);
  // What a relay passes on between two peers is their groups' matter.
  if (inbound !== undefined) {
    lines.push(`add rule ${t} input iifname ${name} jump inbound`);
    lines.push(`add rule ${t} forward iifname ${name} oifname != ${name} jump inbound`);
    lines.push(...chainOf(`${t} inbound`, "saddr", inbound));
  }
  if (outbound !== undefined) {
    lines.push(`add rule ${t} output oifname ${name} jump outbound`);
    lines.push(`add rule ${t} forward oifname ${name} iifname != ${name} jump outbound`);
    lines.push(...chainOf(`${t} outbound`, "daddr", outbound));
  }
  return lines.join("\n") + "\n";
}

/** Removes the table, whether it is there or not. */
export function removalOf(table: string): string {
  return `add table inet ${table}\ndelete table inet ${table}\n`;
}

function chainOf(chain: string, side: "saddr" | "daddr", matches: readonly Match[]): string[] {
  return [
    `add rule ${chain} ct state established,related accept`,
    ...matches.map((match) => `add rule ${chain} ${matchOf(match, side)}accept`),
    `add rule ${chain} counter drop`,
  ];
}

function matchOf({ family, addresses, protocol, ports }: Match, side: "saddr" | "daddr"): string {
  const parts = [`meta nfproto ipv${family}`];
  if (addresses !== undefined) {
    parts.push(`${family === 4 ? "ip" : "ip6"} ${side} { ${addresses.join(", ")} }`);
  }
  if (protocol !== undefined) parts.push(`meta l4proto { ${protocol} }`);
  if (ports !== undefined) parts.push(`th dport ${ports.join("-")}`);
  return parts.map((part) => `${part} `).join("");
}

/** Only names that mean themselves to nft: no wildcard, no quote. */
function checkedName(name: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(name)) return name;
  throw new AgentError(
    `Cannot enforce security groups on the interface ${JSON.stringify(name)}: ` +
      `use letters, digits, "_", "." and "-" in its name`,
  );
}
