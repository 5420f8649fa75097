/**
 * This host as the control plane describes it. Its own addresses are checked like a peer's: an
 * address of the interface takes the traffic to it away from everybody else.
 *
 * @module
 */
import type { Device, TunnelIp, Vpc } from "../../../control/api/types.ts";
import { cleanText } from "../../errors.ts";
import { contains, judgeRange, parseAddress, parsePrefix } from "./addresses.ts";
import type { Self } from "../types.ts";

/** What this host knows of itself. */
type OwnFacts = Pick<
  Self,
  "publicKey" | "symmetric" | "relayOnly" | "relay" | "reflexive" | "reflexive6" | "local"
>;

/**
 * This host's place in the VPC.
 *
 * @returns with it what was left out, and why, in words for a log
 */
export function describeSelf(
  device: Pick<Device, "id" | "ipv4_tunnel_ips" | "ipv6_tunnel_ips">,
  vpc: Pick<Vpc, "ipv4_cidr" | "ipv6_cidr">,
  facts: OwnFacts,
): { self: Self; notes: string[] } {
  const self: Self = {
    ...facts,
    id: device.id,
    ipv4Cidr: vpc.ipv4_cidr,
    ipv6Cidr: vpc.ipv6_cidr,
  };
  const notes: string[] = [];
  const v4 = ownAddress(device.ipv4_tunnel_ips, "ipv4", vpc.ipv4_cidr, notes);
  const v6 = ownAddress(device.ipv6_tunnel_ips, "ipv6", vpc.ipv6_cidr, notes);
  if (v4 !== undefined) self.tunnelIpv4 = v4;
  if (v6 !== undefined) self.tunnelIpv6 = v6;
  return { self, notes };
}

/** The first of the addresses, if it is one of this family inside the VPC's range. */
function ownAddress(
  [first]: TunnelIp[],
  kind: "ipv4" | "ipv6",
  cidr: string,
  notes: string[],
): string | undefined {
  const range = judgeRange(cidr);
  if ("refused" in range) {
    if (first !== undefined) {
      notes.push(`the VPC's range ${cleanText(cidr, 64) || '""'} ${range.refused}`);
    }
    return undefined;
  }
  if (first === undefined) return undefined;
  const address = parseAddress(first.address);
  if (address?.kind() === kind && contains(range, parsePrefix(address.toString())!)) {
    return address.toString();
  }
  notes.push(`the tunnel address ${cleanText(first.address, 64)} is not in ${range.text}`);
  return undefined;
}

/**
 * CIDRs for the interface. IPv6 has the /64 that Nexodus gives it, unless the VPC's range is
 * smaller: the kernel routes that prefix to the interface.
 */
export function interfaceAddresses(self: Self): string[] {
  const addresses: string[] = [];
  if (self.tunnelIpv4 !== undefined) addresses.push(`${self.tunnelIpv4}/32`);
  if (self.tunnelIpv6 !== undefined) {
    const range = judgeRange(self.ipv6Cidr);
    const bits = "address" in range && range.bits <= 64 ? 64 : 128;
    addresses.push(`${self.tunnelIpv6}/${bits}`);
  }
  return addresses;
}
