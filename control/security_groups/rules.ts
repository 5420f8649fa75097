import type { SecurityRule, SecurityRuleInput } from "../api/types.ts";
import { Problem } from "../http/mod.ts";
import { parseAddress, parseCidr } from "../ipam/mod.ts";

/** `""` is every protocol. */
const PROTOCOLS = new Set(["", "ipv4", "ipv6", "icmpv4", "icmp", "icmpv6", "tcp", "udp"]);
/** Longest text of the caller that an answer repeats. */
const MAX_ECHO = 64;

/**
 * Rules as they are stored, or a 422 for the first one that says nothing an agent could enforce:
 * an unknown protocol, then ports, then addresses, rule by rule.
 */
export function checkedRules(rules: readonly SecurityRuleInput[]): SecurityRule[] {
  return rules.map((rule) => {
    const ip_protocol = rule.ip_protocol ?? "";
    const from_port = rule.from_port ?? 0, to_port = rule.to_port ?? 0;
    const ip_ranges = rule.ip_ranges ?? [];
    if (!PROTOCOLS.has(ip_protocol)) {
      throw invalid("protocol", `invalid protocol: ${echo(ip_protocol)}`);
    }
    checkPorts(from_port, to_port);
    for (const range of ip_ranges) {
      if (!isRange(range)) throw invalid("ip_range", `invalid IP range: ${echo(range)}`);
    }
    return { ip_protocol, from_port, to_port, ...(ip_ranges.length > 0 ? { ip_ranges } : {}) };
  });
}

function checkPorts(from: number, to: number): void {
  if (from === 0 && to === 0) return;
  if (from === 0 || to === 0) {
    const error = "invalid port range: port ranges need to have a value greater than 0";
    throw invalid("port_range", error);
  }
  if (from < 1 || from > to || to > 65535) {
    throw invalid("port_range", `invalid port range: from ${from} to ${to}`);
  }
}

/** `""` (all addresses), an address, a CIDR, or `first-last` of one family, in that order. */
function isRange(text: string): boolean {
  if (text === "" || parseAddress(text) || parseCidr(text)) return true;
  const ends = text.split("-").map((end) => parseAddress(end.trim()));
  const [first, last] = ends;
  return ends.length === 2 && first !== undefined && last !== undefined &&
    first.family === last.family && first.value <= last.value;
}

function invalid(field: string, error: string): Problem {
  return new Problem(422, { error, field });
}

function echo(text: string): string {
  return text.length <= MAX_ECHO ? text : `${text.slice(0, MAX_ECHO)}…`;
}
