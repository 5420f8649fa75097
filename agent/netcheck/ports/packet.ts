/**
 * What goes through a raw UDP socket, as bytes: the UDP header and its checksum (RFC 768), the
 * kernel's address structures, and the filter that lets nothing in but STUN answers and path probes
 * to one port.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { LINUX } from "../../platform/mod.ts";
import type { Family } from "./types.ts";

/** Bytes of a UDP header. */
export const UDP_HEADER = 8;
const IPV4_HEADER_MIN = 20;
const PROTOCOL_UDP = 17;
const COOKIE = 0x2112a442;
/** Class bit of STUN message types that success and error answers have and requests have not. */
const ANSWER_BIT = 0x0100;
/**
 * First four bytes of a path probe. WireGuard's messages begin with a byte from 1 to 4, those of STUN
 * with two zero bits, DTLS and QUIC with other ones: none takes it for its own.
 */
export const PROBE_MAGIC = 0xd36e7870;

/** Bytes of a kernel address structure of a family. */
export const SOCKADDR_LENGTH = { 4: 16, 6: 28 } as const;
const ADDRESS_AT = { 4: 4, 6: 8 } as const;

/** The 4 or 16 bytes of an address text. Throws for other texts. */
export function addressBytes(text: string): Uint8Array {
  return Uint8Array.from(ipaddr.parse(text).toByteArray());
}

/** An address as text, IPv6 in its canonical form (RFC 5952); v4-mapped as IPv4. */
export function addressText(bytes: Uint8Array): string {
  const address = ipaddr.fromByteArray([...bytes]);
  if (address instanceof ipaddr.IPv4) return address.toString();
  return address.isIPv4MappedAddress()
    ? address.toIPv4Address().toString()
    : address.toRFC5952String();
}

/** `struct sockaddr_in` or `sockaddr_in6` of an address, written into `into`. */
export function writeSockaddr(
  into: Uint8Array,
  family: Family,
  address: Uint8Array,
  port: number,
): void {
  into.fill(0);
  new Uint16Array(into.buffer, into.byteOffset, 1)[0] = family === 4
    ? LINUX.AF_INET
    : LINUX.AF_INET6;
  into[2] = port >>> 8;
  into[3] = port & 0xff;
  into.set(address, ADDRESS_AT[family]);
}

/** The address in a `sockaddr` of a family: a view of its bytes. */
export function sockaddrAddress(sockaddr: Uint8Array, family: Family): Uint8Array {
  const at = ADDRESS_AT[family];
  return sockaddr.subarray(at, at + (family === 4 ? 4 : 16));
}

/**
 * Writes a UDP datagram, header and payload, into `into` and returns its length in bytes. With both
 * addresses (4 bytes each) the checksum is right; without, it is left 0 for the kernel to fill in.
 */
export function writeUdp(
  into: Uint8Array,
  ports: { from: number; to: number },
  payload: Uint8Array,
  addresses?: { from: Uint8Array; to: Uint8Array },
): number {
  const length = UDP_HEADER + payload.length;
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  view.setUint16(0, ports.from);
  view.setUint16(2, ports.to);
  view.setUint16(4, length);
  view.setUint16(6, 0);
  into.set(payload, UDP_HEADER);
  if (addresses !== undefined) {
    view.setUint16(6, udpChecksum(addresses.from, addresses.to, into.subarray(0, length)));
  }
  return length;
}

/** The checksum of a UDP datagram between two IPv4 addresses; 0 never comes out (RFC 768). */
export function udpChecksum(from: Uint8Array, to: Uint8Array, datagram: Uint8Array): number {
  let sum = PROTOCOL_UDP + datagram.length;
  const add = (bytes: Uint8Array) => {
    for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  };
  add(from);
  add(to);
  add(datagram);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return (~sum & 0xffff) || 0xffff;
}

/** Where the parts of a received packet lie. */
interface Located {
  /** UDP port of the sender. */
  from: number;
  /** The payload: from here, up to there. */
  start: number;
  end: number;
}

/**
 * Finds the payload in what a raw socket gives: IPv4 with its IP header, IPv6 without. Undefined
 * when the bytes are no whole UDP datagram to `port`. The checksum is not looked at: between
 * interfaces of one machine it is never filled in.
 */
export function locateUdp(
  packet: Uint8Array,
  length: number,
  family: Family,
  port: number,
): Located | undefined {
  let udp = 0;
  if (family === 4) {
    udp = (packet[0]! & 0x0f) * 4;
    if (length < IPV4_HEADER_MIN || packet[0]! >>> 4 !== 4 || udp < IPV4_HEADER_MIN) {
      return undefined;
    }
  }
  if (length < udp + UDP_HEADER) return undefined;
  const at = (offset: number) => (packet[udp + offset]! << 8) | packet[udp + offset + 1]!;
  const end = udp + at(4);
  if (at(2) !== port || at(4) < UDP_HEADER || end > length) return undefined;
  return { from: at(0), start: udp + UDP_HEADER, end };
}

/** Address of the sender in the IPv4 header of a packet: a view of its bytes. */
export function ipv4Source(packet: Uint8Array): Uint8Array {
  return packet.subarray(12, 16);
}

const LOAD_HALF = 0x28, LOAD_WORD = 0x20, LOAD_HALF_X = 0x48, LOAD_WORD_X = 0x40;
/** X := length of the IPv4 header. */
const SKIP_IP_HEADER = 0xb1;
const JUMP_EQUAL = 0x15, JUMP_BITS = 0x45, RETURN = 0x06;

/**
 * A classic BPF program, as the kernel reads it: it passes STUN answers and path probes to `port`
 * and nothing else. Without it every packet to WireGuard would be copied to the socket, too.
 */
export function filterFor(family: Family, port: number): Uint8Array {
  // IPv4 raw sockets see the IP header, whose length varies; IPv6 ones start at UDP.
  const [half, word] = family === 4 ? [LOAD_HALF_X, LOAD_WORD_X] : [LOAD_HALF, LOAD_WORD];
  const program: [code: number, yes: number, no: number, value: number][] = [
    ...(family === 4 ? [[SKIP_IP_HEADER, 0, 0, 0] as [number, number, number, number]] : []),
    [half, 0, 0, 2],
    [JUMP_EQUAL, 0, 7, port],
    [word, 0, 0, 8],
    [JUMP_EQUAL, 4, 0, PROBE_MAGIC],
    [word, 0, 0, 12],
    [JUMP_EQUAL, 0, 3, COOKIE],
    [half, 0, 0, 8],
    [JUMP_BITS, 0, 1, ANSWER_BIT],
    [RETURN, 0, 0, 0xffffffff],
    [RETURN, 0, 0, 0],
  ];
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(([code, yes, no, value], i) => {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, yes);
    view.setUint8(i * 8 + 3, no);
    view.setUint32(i * 8 + 4, value, true);
  });
  return bytes;
}
