/**
 * What answers of STUN servers are worth: nonsense is refused with a reason, and the answers of one
 * round become one view of the NAT. Pure.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { isHost } from "./local.ts";

/** An address and a UDP port. */
export interface AddressPort {
  address: string;
  port: number;
}

/** Ranges in which a host on the Internet is never seen. */
const INTERNAL = new Set(["private", "carrierGradeNat", "uniqueLocal"]);
/** Ranges of servers on the Internet; networks for documentation stand for it in labs. */
const OUTSIDE = new Set(["unicast", "reserved"]);

/**
 * Why an answer cannot be true, or undefined.
 *
 * @param said the address that the server claims to see
 * @param server where it was asked
 * @param inTunnel tells whether an address lies inside the VPC: as an endpoint it would loop
 */
export function refuseAnswer(
  said: AddressPort,
  server: AddressPort,
  inTunnel: (address: string) => boolean = () => false,
): string | undefined {
  const shown = `it answers ${said.address} port ${said.port}`;
  const isIp = ipaddr.isValid(said.address);
  if (!isIp || !isHost(said.address) || !(said.port > 0 && said.port <= 65535)) {
    return `${shown}, which is no host's address`;
  }
  const seen = ipaddr.parse(said.address), asked = ipaddr.parse(server.address);
  if (seen.kind() !== asked.kind()) {
    return `${shown}, but it was asked over ${asked.kind() === "ipv4" ? "IPv4" : "IPv6"}`;
  }
  const range = seen.range(), from = asked.range();
  if (inTunnel(said.address)) return `${shown}, which lies inside the tunnel`;
  if (said.address === server.address && said.port === server.port) {
    return `${shown}, which is its own address`;
  }
  if (range === "loopback" && from !== "loopback") return `${shown}, which is a loopback address`;
  if (range === "linkLocal" && from !== "linkLocal") {
    return `${shown}, which is a link-local address`;
  }
  if (INTERNAL.has(range) && OUTSIDE.has(from)) {
    return `${shown}, which is a private address, but it is a server on the Internet`;
  }
  return undefined;
}

/** One believable answer. */
interface Seen {
  /** IP address of the server that gave it. */
  server: string;
  /** `ip:port` that it saw. */
  seen: string;
}

/** What one round makes of the NAT, for one IP version. */
export interface Verdict {
  /** `ip:port`; absent when nobody answered. */
  address?: string;
  /** Undefined when fewer than two servers answered. */
  symmetric?: boolean;
  /** Index of an answer that all others contradict. */
  odd?: number;
}

/**
 * Answers, in the order in which the servers are preferred, as one verdict. All alike: the NAT has
 * one mapping for all destinations. Different ones: it is symmetric, except when a single one stands
 * against two or more that agree although their servers have different addresses (a NAT may map by
 * the destination's address alone).
 */
export function verdictOf(answers: readonly Seen[]): Verdict {
  const [first] = answers;
  if (first === undefined) return {};
  if (answers.length === 1) return { address: first.seen };
  const groups = Map.groupBy(answers.keys(), (i) => answers[i]!.seen);
  if (groups.size === 1) return { address: first.seen, symmetric: false };
  if (groups.size === 2 && answers.length > 2) {
    const [most, least] = [...groups.values()].sort((a, b) => b.length - a.length);
    const servers = new Set(most!.map((i) => answers[i]!.server));
    if (least!.length === 1 && most!.length > 1 && servers.size > 1) {
      return { address: answers[most![0]!]!.seen, symmetric: false, odd: least![0]! };
    }
  }
  return { address: first.seen, symmetric: true };
}
