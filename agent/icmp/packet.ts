/**
 * Echo requests and replies as bytes (RFC 792, RFC 4443).
 *
 * @module
 */
import ipaddr from "ipaddr.js";

/** IP version. */
export type Family = 4 | 6;

/** Types of the messages. */
const REQUEST = { 4: 8, 6: 128 } as const, REPLY = { 4: 0, 6: 129 } as const;
/** Bytes of the message's header, and of what we put behind it: as much as `ping` does. */
const HEADER = 8, PAYLOAD = 56;
/** Bytes of the mark by which we know our own. */
export const MARK = 16;
/** Room for an answer: ours are far smaller. */
export const ROOM = 2048;

/** What an echo carries. */
export interface Echo {
  /** 16 bits; a datagram socket has its own. */
  id: number;
  /** 16 bits. */
  sequence: number;
  /** {@link MARK} random bytes. */
  mark: Uint8Array;
  /** 32 bits that tell one echo of ours from another. */
  number: number;
}

/** An echo request. The kernel fills in the checksum of ICMPv6, as it covers the addresses. */
export function echoRequest(family: Family, echo: Echo): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER + PAYLOAD);
  const view = new DataView(bytes.buffer);
  bytes[0] = REQUEST[family];
  view.setUint16(4, echo.id);
  view.setUint16(6, echo.sequence);
  bytes.set(echo.mark, HEADER);
  view.setUint32(HEADER + MARK, echo.number);
  if (family === 4) view.setUint16(2, checksum(bytes));
  return bytes;
}

/**
 * The number of an echo of ours that a packet answers; undefined for anything else.
 *
 * @param bytes as received: a raw IPv4 socket gives the IP header too, the others do not
 */
export function answeredEcho(
  family: Family,
  bytes: Uint8Array,
  mark: Uint8Array,
  withHeader: boolean,
): number | undefined {
  const at = withHeader ? ((bytes[0] ?? 0) & 15) * 4 : 0;
  if (withHeader && (bytes.length < 20 || at < 20)) return undefined;
  if (bytes.length < at + HEADER + MARK + 4 || bytes[at] !== REPLY[family]) return undefined;
  if (bytes[at + 1] !== 0) return undefined;
  for (let i = 0; i < MARK; i++) if (bytes[at + HEADER + i] !== mark[i]) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + HEADER + MARK);
}

/** The Internet checksum (RFC 1071) of an even number of bytes. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! << 8 | bytes[i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** The `sockaddr` of an address. Throws when it is none of this IP version. */
export function sockaddr(family: Family, address: string): Uint8Array<ArrayBuffer> {
  const parsed = ipaddr.parse(address);
  if ((parsed.kind() === "ipv4") !== (family === 4)) throw new TypeError(`not IPv${family}`);
  const bytes = new Uint8Array(family === 4 ? 16 : 28);
  new Uint16Array(bytes.buffer, 0, 1)[0] = family === 4 ? 2 : 10;
  bytes.set(parsed.toByteArray(), family === 4 ? 4 : 8);
  return bytes;
}
