/**
 * From a security group's rules to what nftables is asked to let through. A rule that cannot be
 * understood lets nothing through, and is told: it never becomes less strict, nor vanishes so that
 * its direction would count as one without rules.
 *
 * @module
 */
import type { SecurityGroup, SecurityRule } from "../../control/api/types.ts";
import { cleanText } from "../errors.ts";
import { readRanges } from "./ranges.ts";

/** Most rules of a direction, and most ranges in all of them: the kernel looks at them in turn. */
const MAX_RULES = 256, MAX_ELEMENTS = 8192;
/** Most notes about one direction. */
const MAX_NOTES = 8;

/** Traffic that may pass. Everything in it is checked and may go to nft as it is. */
export interface Match {
  family: 4 | 6;
  /** Elements of an nft set; undefined: every address. */
  addresses?: readonly string[];
  /** nft's name of the protocol, or two of them; undefined: every protocol. */
  protocol?: "tcp" | "udp" | "tcp, udp" | "icmp" | "ipv6-icmp";
  /** Ports at the receiver, both included. */
  ports?: readonly [from: number, to: number];
}

/** What a group lets through; an absent direction is open. */
export interface Policy {
  inbound?: readonly Match[];
  outbound?: readonly Match[];
}

/** Nothing passes but what belongs to a connection that was let through. */
export const CLOSED: Policy = { inbound: [], outbound: [] };

/** Families and protocol of each `ip_protocol`; ICMP without addresses is IPv4's, as elsewhere. */
const PROTOCOLS: Readonly<
  Record<string, { families: readonly (4 | 6)[]; protocol?: "tcp" | "udp" | "icmp" }>
> = {
  "": { families: [4, 6] },
  ipv4: { families: [4] },
  ipv6: { families: [6] },
  tcp: { families: [4, 6], protocol: "tcp" },
  udp: { families: [4, 6], protocol: "udp" },
  icmp: { families: [4, 6], protocol: "icmp" },
  icmpv4: { families: [4], protocol: "icmp" },
  icmpv6: { families: [6], protocol: "icmp" },
};

/** Reads a group; `notes` tells what of it is not used, and why. */
export function policyOf(group: SecurityGroup): { policy: Policy; notes: string[] } {
  const policy: Policy = {}, notes: string[] = [];
  for (const direction of ["inbound", "outbound"] as const) {
    const rules = group[`${direction}_rules`] ?? [];
    if (rules.length === 0) continue;
    const read = readRules(rules);
    policy[direction] = read.matches;
    const told = read.notes.map((note) => `${direction} ${note}`);
    notes.push(...told.slice(0, MAX_NOTES));
    if (told.length > MAX_NOTES) {
      notes.push(`${direction}: ${told.length - MAX_NOTES} more rules are not used`);
    }
  }
  return { policy, notes };
}

function readRules(rules: readonly SecurityRule[]): { matches: Match[]; notes: string[] } {
  const matches: Match[] = [], notes: string[] = [];
  let elements = 0;
  for (const [i, rule] of rules.entries()) {
    if (i === MAX_RULES) {
      notes.push(`rules after the first ${MAX_RULES} let nothing through: they are too many`);
      break;
    }
    const { matches: found, problem } = readRule(rule);
    const more = found.reduce((sum, { addresses }) => sum + (addresses?.length ?? 0), 0);
    if (elements + more > MAX_ELEMENTS) {
      notes.push(`rule ${i + 1} lets nothing through: over ${MAX_ELEMENTS} address ranges`);
      continue;
    }
    elements += more;
    if (problem !== undefined) {
      const effect = found.length === 0 ? "lets nothing through" : "is used in part";
      notes.push(`rule ${i + 1} ${effect}: ${problem}`);
    }
    matches.push(...found);
  }
  return { matches, notes };
}

function readRule(rule: SecurityRule): { matches: Match[]; problem?: string } {
  const kind = Object.hasOwn(PROTOCOLS, rule.ip_protocol) ? PROTOCOLS[rule.ip_protocol] : undefined;
  if (kind === undefined) {
    return { matches: [], problem: `unknown protocol ${quoted(rule.ip_protocol)}` };
  }
  const { from_port: from, to_port: to } = rule;
  const allPorts = from === 0 && to === 0;
  if (!allPorts && !(isPort(from) && isPort(to) && from <= to)) {
    return { matches: [], problem: `ports ${from} to ${to} are no range of 1 to 65535` };
  }
  const addresses = readRanges(rule.ip_ranges ?? []);
  const problems = addresses.unreadable.map((text) => `${quoted(text)} is no address range`);
  const matches: Match[] = [];
  for (const family of [4, 6] as const) {
    const set = addresses[family];
    if (set === undefined) continue;
    if (!kind.families.includes(family)) {
      if (!addresses.unnamed) problems.push(`${rule.ip_protocol} has no IPv${family} addresses`);
      continue;
    }
    // A host whose rules say "icmp" would otherwise differ from the VPC's other agents.
    if (rule.ip_protocol === "icmp" && family === 6 && addresses.unnamed) continue;
    matches.push({
      family,
      ...(set === "any" ? {} : { addresses: set }),
      ...protocolAndPorts(kind.protocol, family, allPorts ? undefined : [from, to]),
    });
  }
  const problem = problems.slice(0, 3).join(", ");
  return { matches, ...(problem === "" ? {} : { problem }) };
}

function protocolAndPorts(
  protocol: "tcp" | "udp" | "icmp" | undefined,
  family: 4 | 6,
  ports: [number, number] | undefined,
): Pick<Match, "protocol" | "ports"> {
  // ICMP has no ports; stock agents leave them out of account, too.
  if (protocol === "icmp") return { protocol: family === 4 ? "icmp" : "ipv6-icmp" };
  if (ports === undefined) return protocol === undefined ? {} : { protocol };
  return { protocol: protocol ?? "tcp, udp", ports };
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 65535;
}

function quoted(text: string): string {
  return JSON.stringify(cleanText(text, 60));
}
