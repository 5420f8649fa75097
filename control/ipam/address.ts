/**
 * IP addresses and ranges as numbers and as sortable text. The text has a fixed width (8 hex digits
 * for IPv4, 32 for IPv6), so a database can order and index it byte by byte.
 */
import ipaddr from "ipaddr.js";

export type Family = 4 | 6;

/** Both ends belong to the range. */
export interface Range {
  family: Family;
  first: bigint;
  last: bigint;
}

/** The number of a bare address, or undefined if the text is none. No prefix, port or zone id. */
export function parseAddress(text: string): { family: Family; value: bigint } | undefined {
  if (text.length > 45) return undefined;
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return { family: 4, value: number(ipaddr.IPv4.parse(text).toByteArray()) };
  }
  if (!text.includes(":") || text.includes("%") || !ipaddr.IPv6.isValid(text)) return undefined;
  return { family: 6, value: number(ipaddr.IPv6.parse(text).toByteArray()) };
}

/** The range of a CIDR; host bits are masked off. Undefined if the text is no CIDR. */
export function parseCidr(text: string): (Range & { prefix: number }) | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = match && parseAddress(match[1]!);
  if (!match || !address) return undefined;
  const bits = width(address.family);
  const prefix = Number(match[2]);
  if (prefix > bits) return undefined;
  const size = 1n << BigInt(bits - prefix);
  const first = address.value - address.value % size;
  return { family: address.family, first, last: first + size - 1n, prefix };
}

/**
 * What of a CIDR is given out to devices: without the network address, and for IPv4 without the
 * broadcast address; all of it where the range is too small to have those.
 */
export function usable(cidr: Range & { prefix: number }): Range {
  const bits = width(cidr.family);
  const { family, first, last } = cidr;
  if (cidr.prefix >= bits - 1) return { family, first, last };
  return { family, first: first + 1n, last: family === 4 ? last - 1n : last };
}

/** Sortable text of an address: 8 or 32 hex digits. */
export function toKey(family: Family, value: bigint): string {
  return value.toString(16).padStart(width(family) / 4, "0");
}

/** The number of a text made by {@linkcode toKey}. */
export function fromKey(key: string): bigint {
  return BigInt(`0x${key}`);
}

/** The usual text of an address: dotted IPv4, compressed lower-case IPv6. */
export function formatAddress(family: Family, value: bigint): string {
  const key = toKey(family, value);
  const bytes = Array.from({ length: key.length / 2 }, (_, i) => {
    return parseInt(key.slice(2 * i, 2 * i + 2), 16);
  });
  return ipaddr.fromByteArray(bytes).toString();
}

function width(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

function number(bytes: readonly number[]): bigint {
  return bytes.reduce((value, byte) => value * 256n + BigInt(byte), 0n);
}
