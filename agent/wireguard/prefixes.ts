/**
 * Addresses, prefixes and endpoints as they come from the control plane: read strictly, brought to
 * one spelling, and refused with a reason where a route for them would break the host.
 *
 * @module
 */

import ipaddr from "ipaddr.js";
import { remembering } from "../memo.ts";

/** Why a value was refused; the message says it in a few words. */
export class PrefixError extends Error {
  override name = "PrefixError";
}

/** A network in its one spelling. */
export interface Prefix {
  /** Host bits are zero; IPv6 compressed, lower case. */
  cidr: string;
  family: 4 | 6;
  bits: number;
}

/**
 * What no tunnel route may touch. Link-local holds cloud metadata services; a peer that draws their
 * traffic to itself gets the host's credentials.
 */
const RESERVED: readonly (readonly [cidr: string, name: string])[] = [
  ["0.0.0.0/8", "this network"],
  ["127.0.0.0/8", "loopback"],
  ["169.254.0.0/16", "link-local"],
  ["224.0.0.0/4", "multicast"],
  ["255.255.255.255/32", "broadcast"],
  ["::/128", "this network"],
  ["::1/128", "loopback"],
  ["fe80::/10", "link-local"],
  ["ff00::/8", "multicast"],
];
const RESERVED_NETWORKS = RESERVED.map(([cidr, name]) => {
  const [address, bits] = ipaddr.parseCIDR(cidr);
  return { cidr, name, address, bits };
});

/**
 * Reserved too, but allowed to a peer where it is not routed: nobody has such addresses (RFC 1112), so
 * they can stand in for others inside the tunnel.
 */
const STAND_INS = "240.0.0.0/4";

/** Shorter prefixes take over most of the Internet: that is an exit node's work, not a subnet's. */
const SHORTEST = { 4: 8, 6: 7 } as const;

/**
 * A prefix fit to be allowed and routed to a peer. Throws {@linkcode PrefixError}.
 *
 * @param options `unrouted`: what can be allowed but not routed is fit too, as {@linkcode isUnrouted}
 * tells of it
 */
export function parseAllowedIp(text: string, options: { unrouted?: boolean } = {}): Prefix {
  const prefix = allowedIp(text);
  if (!options.unrouted && isUnrouted(prefix)) {
    throw new PrefixError(
      prefix.bits === 0
        ? "a default route needs an exit node"
        : `it covers reserved addresses (${STAND_INS})`,
    );
  }
  return prefix;
}

/** True for a default route and for addresses that nobody has. */
export function isUnrouted({ cidr, family, bits }: Prefix): boolean {
  return bits === 0 || (family === 4 && within(cidr, STAND_INS));
}

const allowedIp = remembering((text): Prefix => {
  const { address, bits } = split(text, { 4: 32, 6: 128 });
  const family = familyOf(address);
  const network = networkOf(address, bits);
  if (bits === 0) return { cidr: `${network}/0`, family, bits };
  for (const reserved of RESERVED_NETWORKS) {
    if (reserved.address.kind() !== network.kind()) continue;
    const common = Math.min(bits, reserved.bits);
    if (networkOf(network, common).toString() === networkOf(reserved.address, common).toString()) {
      throw new PrefixError(`it covers ${reserved.name} addresses (${reserved.cidr})`);
    }
  }
  if (bits < SHORTEST[family]) throw new PrefixError(`shorter than /${SHORTEST[family]}`);
  return { cidr: `${network}/${bits}`, family, bits };
});

/** An address for the tunnel interface, host bits kept. Throws {@linkcode PrefixError}. */
export function parseInterfaceAddress(text: string): Prefix {
  const { address, bits } = split(text, { 4: 32, 6: 64 });
  const range = address.range();
  if (["unspecified", "loopback", "multicast", "broadcast", "linkLocal"].includes(range)) {
    throw new PrefixError(`a ${range} address is not one for a tunnel`);
  }
  return { cidr: `${address}/${bits}`, family: familyOf(address), bits };
}

/** `ip:port` or `[ipv6]:port` in one spelling. Throws {@linkcode PrefixError}. */
export const parseEndpoint: (text: string) => string = remembering((text) => {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([0-9.]{7,15})):(\d{1,5})$/.exec(text);
  if (!match) throw new PrefixError("not an ip:port");
  const address = parseAddress(match[1] ?? match[2] ?? "");
  if ((match[1] !== undefined) !== (address.kind() === "ipv6")) {
    throw new PrefixError("not an ip:port");
  }
  const range = address.range();
  if (range === "unspecified" || range === "multicast" || range === "broadcast") {
    throw new PrefixError(`a ${range} address reaches no peer`);
  }
  const port = Number(match[3]);
  if (port < 1 || port > 65535) throw new PrefixError(`port ${port} is not 1 to 65535`);
  return address.kind() === "ipv6" ? `[${address}]:${port}` : `${address}:${port}`;
});

type Address = ipaddr.IPv4 | ipaddr.IPv6;

function split(text: string, whole: { 4: number; 6: number }): { address: Address; bits: number } {
  if (text.length > 64) throw new PrefixError("too long for a prefix");
  const [host = "", length, ...rest] = text.split("/");
  const address = parseAddress(host);
  const family = familyOf(address);
  if (rest.length > 0) throw new PrefixError("not a prefix");
  if (length === undefined) return { address, bits: whole[family] };
  const bits = /^(0|[1-9]\d{0,2})$/.test(length) ? Number(length) : NaN;
  if (!(bits <= (family === 4 ? 32 : 128))) throw new PrefixError("bad prefix length");
  return { address, bits };
}

/** Only the common spellings: no `127.1`, no octal or hex parts, no zone, no IPv4 inside IPv6. */
function parseAddress(text: string): Address {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  if (text.includes("%") || !ipaddr.IPv6.isValid(text)) throw new PrefixError("not an IP address");
  const address = ipaddr.IPv6.parse(text);
  if (address.isIPv4MappedAddress()) throw new PrefixError("an IPv4 address written as IPv6");
  return address;
}

function familyOf(address: Address): 4 | 6 {
  return address.kind() === "ipv4" ? 4 : 6;
}

function networkOf(address: Address, bits: number): Address {
  const bytes = address.toByteArray().map((byte, i) => {
    const keep = Math.max(0, Math.min(8, bits - i * 8));
    return byte & (0xff00 >> keep) & 0xff;
  });
  return ipaddr.fromByteArray(bytes);
}

/** Whether network `inner` lies in `outer`, or is it; both as from {@linkcode parseAllowedIp}. */
export function within(inner: string, outer: string): boolean {
  const a = networkBytes(inner), b = networkBytes(outer);
  if (a.bytes.length !== b.bytes.length || a.bits < b.bits) return false;
  for (let i = 0; i * 8 < b.bits; i++) {
    const mask = (0xff00 >> Math.min(8, b.bits - i * 8)) & 0xff;
    if (((a.bytes[i]! ^ b.bytes[i]!) & mask) !== 0) return false;
  }
  return true;
}

const networkBytes = remembering((cidr) => {
  const [address, bits] = ipaddr.parseCIDR(cidr);
  return { bytes: address.toByteArray(), bits };
});
