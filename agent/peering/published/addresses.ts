/**
 * Addresses, prefixes and endpoints published by other devices: read strictly, judged by what they
 * may not be. Nothing here throws: a useless text is undefined.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { remembering } from "../../memo.ts";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** A prefix with its host bits cleared. */
export interface Prefix {
  address: Address;
  bits: number;
  /** `address/bits`, one spelling. */
  text: string;
}

/** An address in a common spelling (four decimal parts, or IPv6 without zone); v4-mapped unmapped. */
export const parseAddress: (text: string) => Address | undefined = remembering((text) => {
  if (text.length > 45 || text.includes("%")) return undefined;
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  if (!text.includes(":") || !ipaddr.IPv6.isValid(text)) return undefined;
  const address = ipaddr.IPv6.parse(text);
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
});

/** `address/bits`, or a bare address as its host prefix. */
export const parsePrefix: (text: string) => Prefix | undefined = remembering((text) => {
  const [host = "", length, ...rest] = text.split("/");
  const address = parseAddress(host);
  if (address === undefined || rest.length > 0) return undefined;
  const whole = address.kind() === "ipv4" ? 32 : 128;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return undefined;
  const bits = length === undefined ? whole : Number(length);
  if (bits > whole) return undefined;
  const bytes = address.toByteArray().map((byte, i) =>
    byte & (0xff00 >> Math.max(0, Math.min(8, bits - i * 8))) & 0xff
  );
  const network = ipaddr.fromByteArray(bytes);
  return { address: network, bits, text: `${network}/${bits}` };
});

/** True when `inner` lies wholly inside `outer`. */
export function contains(outer: Prefix, inner: Prefix): boolean {
  if (outer.address.kind() !== inner.address.kind() || inner.bits < outer.bits) return false;
  return (inner.address as ipaddr.IPv4).match(outer.address as ipaddr.IPv4, outer.bits);
}

/**
 * What no VPC and no network behind a peer may span: addresses that mean a host itself, its link
 * (with the metadata services of clouds) or many hosts at once.
 */
export const RESERVED: readonly Prefix[] = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/3",
  "::/127",
  "fe80::/10",
  "ff00::/8",
].map((text) => parsePrefix(text)!);

/** The widest range taken, bits: a wider one holds much of the Internet. */
export const WIDEST = { ipv4: 8, ipv6: 7 } as const;

/** A range that devices of a VPC may have their tunnel addresses in, or why it is none. */
export function judgeRange(text: string): Prefix | { refused: string } {
  const range = parsePrefix(text);
  if (range === undefined) return { refused: "is no prefix" };
  const widest = WIDEST[range.address.kind()];
  if (range.bits < widest) return { refused: `is wider than /${widest}` };
  const reserved = RESERVED.find((other) => contains(other, range) || contains(range, other));
  return reserved === undefined ? range : { refused: `overlaps ${reserved.text}` };
}

/** Those of `texts` that {@link judgeRange} takes. */
export function rangesOf(texts: readonly string[]): Prefix[] {
  return texts.map(judgeRange).filter((verdict) => "address" in verdict);
}

/**
 * Ranges nobody can be reached at, that reach this host itself, or that a translator on the way
 * would turn into an IPv4 address nobody has judged.
 */
const UNREACHABLE = new Set([
  "unspecified",
  "loopback",
  "multicast",
  "broadcast",
  "linkLocal",
  "rfc6145",
  "rfc6052",
  "6to4",
  "teredo",
]);

/** An endpoint that may be tried, or why it may not. */
type EndpointVerdict =
  | { ip: string; port: number; text: string }
  | { refused: string };

/**
 * Judges an endpoint another device published.
 *
 * @param tunnel prefixes of the VPC: an endpoint inside the tunnel would loop
 * @param own endpoints of this host, `ip:port`: WireGuard must never send to itself
 */
export function judgeEndpoint(text: string, tunnel: Prefix[], own: string[]): EndpointVerdict {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const address = match ? parseAddress(match[1] ?? match[2] ?? "") : undefined;
  const port = Number(match?.[3]);
  if (address === undefined || port < 1 || port > 65535) return { refused: "is not an ip:port" };
  const range = address.range();
  if (UNREACHABLE.has(range)) return { refused: `has a ${range} address` };
  const prefix = parsePrefix(address.toString())!;
  if (tunnel.some((range) => contains(range, prefix))) return { refused: "lies inside the tunnel" };
  const ip = address.toString();
  const spelled = address.kind() === "ipv6" ? `[${ip}]:${port}` : `${ip}:${port}`;
  if (own.includes(spelled)) return { refused: "is this host's own" };
  return { ip, port, text: spelled };
}

/** The address part of `ip:port` or `[ip]:port`. */
export function ipOf(endpoint: string): string {
  return endpoint.slice(0, endpoint.lastIndexOf(":")).replace(/^\[|\]$/g, "");
}
