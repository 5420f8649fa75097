/**
 * The addresses that a rule names: single ones, CIDRs and `first-last`, read strictly and brought to
 * the fewest ranges, as nft refuses sets whose ranges overlap.
 *
 * @module
 */
import ipaddr from "ipaddr.js";

/** Both ends belong to the range. */
interface Range {
  family: 4 | 6;
  first: bigint;
  last: bigint;
}

/** Addresses of one rule. */
export interface Addresses {
  /** Elements of an nft set, ascending and apart; `"any"` is the whole family, undefined none of it. */
  4?: readonly string[] | "any";
  6?: readonly string[] | "any";
  /** No addresses were named. */
  unnamed: boolean;
  /** What could not be read, as it was written. */
  unreadable: string[];
}

/** Reads the `ip_ranges` of a rule; none at all, and `""`, are every address. */
export function readRanges(texts: readonly string[]): Addresses {
  if (texts.length === 0 || texts.some((text) => text.trim() === "")) {
    return { 4: "any", 6: "any", unnamed: true, unreadable: [] };
  }
  const ranges: Range[] = [], unreadable: string[] = [];
  for (const text of texts) {
    const range = readRange(text);
    if (range === undefined) unreadable.push(text);
    else ranges.push(range);
  }
  const addresses: Addresses = { unnamed: false, unreadable };
  for (const family of [4, 6] as const) {
    const merged = merge(ranges.filter((range) => range.family === family));
    if (merged.length > 0) addresses[family] = elements(family, merged);
  }
  return addresses;
}

function readRange(text: string): Range | undefined {
  if (text.length > 96) return undefined;
  const cidr = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text.trim());
  const [from, to, ...rest] = text.split("-").map((end) => readAddress(end.trim()));
  if (cidr) {
    const address = readAddress(cidr[1]!), bits = Number(cidr[2]);
    if (address === undefined || bits > width(address.family)) return undefined;
    const size = 1n << BigInt(width(address.family) - bits);
    const first = address.value - address.value % size;
    return { family: address.family, first, last: first + size - 1n };
  }
  if (from === undefined || rest.length > 0) return undefined;
  if (!text.includes("-")) return { family: from.family, first: from.value, last: from.value };
  if (to === undefined || to.family !== from.family || to.value < from.value) return undefined;
  return { family: from.family, first: from.value, last: to.value };
}

function readAddress(text: string): { family: 4 | 6; value: bigint } | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return { family: 4, value: numberOf(ipaddr.IPv4.parse(text)) };
  }
  if (!/^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$/.test(text) || !ipaddr.IPv6.isValid(text)) return undefined;
  return { family: 6, value: numberOf(ipaddr.IPv6.parse(text)) };
}

function merge(ranges: Range[]): Range[] {
  const merged: Range[] = [];
  for (const range of ranges.toSorted((a, b) => a.first < b.first ? -1 : 1)) {
    const last = merged.at(-1);
    if (last === undefined || range.first > last.last + 1n) merged.push({ ...range });
    else if (range.last > last.last) last.last = range.last;
  }
  return merged;
}

function elements(family: 4 | 6, ranges: Range[]): readonly string[] | "any" {
  const [only] = ranges;
  if (only!.first === 0n && only!.last === (1n << BigInt(width(family))) - 1n) return "any";
  return ranges.map(({ first, last }) =>
    first === last ? textOf(family, first) : `${textOf(family, first)}-${textOf(family, last)}`
  );
}

function width(family: 4 | 6): 32 | 128 {
  return family === 4 ? 32 : 128;
}

function numberOf(address: ipaddr.IPv4 | ipaddr.IPv6): bigint {
  return address.toByteArray().reduce((value, byte) => value << 8n | BigInt(byte), 0n);
}

function textOf(family: 4 | 6, value: bigint): string {
  const bytes = Array.from(
    { length: width(family) / 8 },
    (_, i) => Number(value >> BigInt(width(family) - 8 - 8 * i) & 0xffn),
  );
  return ipaddr.fromByteArray(bytes).toString();
}
