/** Rules of security groups as people read and write them. */
import type { SecurityRule } from "../../api/types.ts";

/** Protocols of a rule, by what the API calls them. */
export const PROTOCOLS: readonly (readonly [string, string])[] = [
  ["", "Everything"],
  ["tcp", "TCP"],
  ["udp", "UDP"],
  ["icmp", "ICMP"],
  ["icmpv4", "ICMPv4"],
  ["icmpv6", "ICMPv6"],
  ["ipv4", "IPv4"],
  ["ipv6", "IPv6"],
];

/** `""` for all ports, else one port or `first-last`. */
export function portsOf({ from_port, to_port }: SecurityRule): string {
  if (from_port === 0 && to_port === 0) return "";
  return from_port === to_port ? String(from_port) : `${from_port}-${to_port}`;
}

/** Reads what {@linkcode portsOf} writes; undefined for what is none. */
export function readPorts(text: string): { from_port: number; to_port: number } | undefined {
  if (text.trim() === "") return { from_port: 0, to_port: 0 };
  const [, first, last = first] = text.match(/^\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?$/) ?? [];
  return first === undefined ? undefined : { from_port: Number(first), to_port: Number(last) };
}

/** A rule as a sentence. */
export function ruleText(rule: SecurityRule, word: "from" | "to"): string {
  const protocol = PROTOCOLS.find(([id]) => id === rule.ip_protocol)?.[1] ?? rule.ip_protocol;
  const ports = portsOf(rule);
  const ranges = (rule.ip_ranges ?? []).filter((range) => range !== "");
  return `${protocol}${ports === "" ? "" : ` port ${ports}`} ${word} ${
    ranges.length === 0 ? "anywhere" : ranges.join(", ")
  }`;
}
