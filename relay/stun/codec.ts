/**
 * STUN Binding messages (RFC 8489) as DERP relays and their clients speak them.
 *
 * ```text
 * byte  0      2        4              8                 20
 *      type | length | 21 12 a4 42 | transaction id (12) | attributes…
 * attribute: type(2) length(2) value, padded with zeros to a multiple of four
 * ```
 *
 * A relay answers only requests that say SOFTWARE `tailnode` and end in a right FINGERPRINT, so
 * that it is of no use to anybody else; the answer is one XOR-MAPPED-ADDRESS and shorter than the
 * request or hardly longer. As a client this codec understands answers of any STUN server.
 *
 * @module
 */

import ipaddr from "ipaddr.js";

/** Bytes of the header. */
const STUN_HEADER_LENGTH = 20;

/** Bytes of a transaction id. */
const TRANSACTION_ID_LENGTH = 12;

/** An address seen by a STUN server. */
export interface StunAddress {
  /** IPv4 or IPv6 as text; v4-mapped IPv6 is given out as IPv4. */
  address: string;
  /** UDP port. */
  port: number;
}

/** An answer to a Binding request. */
export interface StunResponse extends StunAddress {
  /** Of the request that it answers, 12 bytes. */
  txid: Uint8Array;
}

const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const COOKIE = 0x2112a442;
const MAPPED_ADDRESS = 0x0001;
const XOR_MAPPED_ADDRESS = 0x0020;
const SOFTWARE = 0x8022;
const FINGERPRINT = 0x8028;
/** XOR-MAPPED-ADDRESS under the number it had before RFC 5389; some servers still send it. */
const XOR_MAPPED_ADDRESS_DRAFT = 0x8020;
const IPV4 = 0x01;
const IPV6 = 0x02;
/** "STUN": keeps a FINGERPRINT from being the CRC that other protocols may end in. */
const FINGERPRINT_XOR = 0x5354554e;
const FINGERPRINT_LENGTH = 8;

const TAILNODE = new TextEncoder().encode("tailnode");

/** Makes a random transaction id. */
export function newTransactionId(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(TRANSACTION_ID_LENGTH));
}

/** Tells whether a datagram looks like STUN: 20 bytes or more, two zero bits, the cookie. */
export function isStun(datagram: Uint8Array): boolean {
  return datagram.length >= STUN_HEADER_LENGTH && (datagram[0]! & 0xc0) === 0 &&
    datagram[4] === 0x21 && datagram[5] === 0x12 && datagram[6] === 0xa4 && datagram[7] === 0x42;
}

/**
 * Builds a Binding request that a DERP relay answers: SOFTWARE first, FINGERPRINT last, 40 bytes.
 *
 * @param txid 12 bytes, see {@linkcode newTransactionId}
 * @throws {RangeError} when the id has another length
 */
export function encodeBindingRequest(txid: Uint8Array): Uint8Array {
  const attributes = 4 + TAILNODE.length + FINGERPRINT_LENGTH;
  const { message, view } = start(BINDING_REQUEST, txid, attributes);
  view.setUint16(20, SOFTWARE);
  view.setUint16(22, TAILNODE.length);
  message.set(TAILNODE, 24);
  const end = message.length - FINGERPRINT_LENGTH;
  view.setUint16(end, FINGERPRINT);
  view.setUint16(end + 2, 4);
  view.setUint32(end + 4, fingerprint(message, end));
  return message;
}

/**
 * Reads a Binding request by the relay's rule: SOFTWARE `tailnode` among the attributes, a right
 * FINGERPRINT as the last. The length field of the header does not count, the datagram's does.
 *
 * @returns the transaction id (a copy), or undefined when the datagram gets no answer
 */
export function parseBindingRequest(datagram: Uint8Array): Uint8Array | undefined {
  if (!isStun(datagram)) return undefined;
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  if (view.getUint16(0) !== BINDING_REQUEST) return undefined;
  let tailnode = false;
  let last = 0;
  const wellFormed = eachAttribute(view, datagram.length, (type, offset, length) => {
    last = type === FINGERPRINT && length === 4 ? offset : 0;
    if (type === SOFTWARE && length === TAILNODE.length) {
      tailnode ||= TAILNODE.every((byte, i) => datagram[offset + i] === byte);
    }
  });
  if (!wellFormed || !tailnode || last === 0) return undefined;
  const end = datagram.length - FINGERPRINT_LENGTH;
  if (view.getUint32(last) !== fingerprint(datagram, end)) return undefined;
  return datagram.slice(8, STUN_HEADER_LENGTH);
}

/**
 * Builds the answer to a Binding request: 32 bytes for IPv4, 44 for IPv6.
 *
 * @param txid of the request
 * @param from where the request came from; a v4-mapped address is answered as IPv4
 * @throws {RangeError} when the id, the address or the port is not one
 */
export function encodeBindingResponse(txid: Uint8Array, from: StunAddress): Uint8Array {
  const address = addressBytes(from.address);
  if (!Number.isInteger(from.port) || from.port < 0 || from.port > 0xffff) {
    throw new RangeError(`Cannot answer STUN request: ${from.port} is not a port`);
  }
  const { message, view } = start(BINDING_SUCCESS, txid, 8 + address.length);
  view.setUint16(20, XOR_MAPPED_ADDRESS);
  view.setUint16(22, 4 + address.length);
  message[25] = address.length === 4 ? IPV4 : IPV6;
  view.setUint16(26, from.port ^ (COOKIE >>> 16));
  for (let i = 0; i < address.length; i++) message[28 + i] = address[i]! ^ message[4 + i]!;
  return message;
}

/**
 * Reads an answer of any STUN server: XOR-MAPPED-ADDRESS under either of its numbers, or
 * MAPPED-ADDRESS when there is none. Bytes behind the declared length are ignored.
 *
 * The caller compares the transaction id with those it sent.
 *
 * @returns undefined when the datagram is not a success answer with an address
 */
export function parseBindingResponse(datagram: Uint8Array): StunResponse | undefined {
  if (!isStun(datagram)) return undefined;
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const end = STUN_HEADER_LENGTH + view.getUint16(2);
  if (view.getUint16(0) !== BINDING_SUCCESS || end > datagram.length) return undefined;
  let xored: StunAddress | undefined;
  let plain: StunAddress | undefined;
  const wellFormed = eachAttribute(view, end, (type, offset, length) => {
    if (type === XOR_MAPPED_ADDRESS || type === XOR_MAPPED_ADDRESS_DRAFT) {
      xored ??= mappedAddress(datagram, offset, length, true);
    } else if (type === MAPPED_ADDRESS) {
      plain ??= mappedAddress(datagram, offset, length, false);
    }
  });
  const found = xored ?? plain;
  if (!wellFormed || found === undefined) return undefined;
  return { txid: datagram.slice(8, STUN_HEADER_LENGTH), ...found };
}

/** A message with its header filled in and room for attributes. */
function start(type: number, txid: Uint8Array, attributes: number) {
  if (txid.length !== TRANSACTION_ID_LENGTH) {
    throw new RangeError(`Cannot build STUN message: transaction id of ${txid.length} bytes`);
  }
  const message = new Uint8Array(STUN_HEADER_LENGTH + attributes);
  const view = new DataView(message.buffer);
  view.setUint16(0, type);
  view.setUint16(2, attributes);
  view.setUint32(4, COOKIE);
  message.set(txid, 8);
  return { message, view };
}

/** Calls `visit` for each attribute up to `end`; false when one does not fit. */
function eachAttribute(
  view: DataView,
  end: number,
  visit: (type: number, offset: number, length: number) => void,
): boolean {
  let at = STUN_HEADER_LENGTH;
  while (at < end) {
    if (at + 4 > end) return false;
    const length = view.getUint16(at + 2);
    const next = at + 4 + ((length + 3) & ~3);
    if (next > end) return false;
    visit(view.getUint16(at), at + 4, length);
    at = next;
  }
  return true;
}

/** The address in a MAPPED-ADDRESS value: zero(1) family(1) port(2) address(4 or 16). */
function mappedAddress(
  datagram: Uint8Array,
  offset: number,
  length: number,
  xor: boolean,
): StunAddress | undefined {
  const family = datagram[offset + 1];
  const size = family === IPV4 ? 4 : family === IPV6 ? 16 : 0;
  if (length < 4 || size === 0 || length < 4 + size) return undefined;
  // The XOR mask is the cookie and, for IPv6, the transaction id behind it: bytes 4 to 19.
  const mask = (i: number) => xor ? datagram[4 + i]! : 0;
  const port = (datagram[offset + 2]! ^ mask(0)) << 8 | (datagram[offset + 3]! ^ mask(1));
  const bytes = Array.from({ length: size }, (_, i) => datagram[offset + 4 + i]! ^ mask(i));
  const address = ipaddr.fromByteArray(bytes);
  if (address instanceof ipaddr.IPv4) return { address: address.toString(), port };
  if (address.isIPv4MappedAddress()) return { address: address.toIPv4Address().toString(), port };
  return { address: address.toRFC5952String(), port };
}

/** The 4 or 16 bytes of an address text; v4-mapped gives 4, a zone ("%eth0") is dropped. */
function addressBytes(text: string): number[] {
  const bare = text.split("%", 1)[0]!;
  if (!ipaddr.IPv4.isValidFourPartDecimal(bare) && !ipaddr.IPv6.isValid(bare)) {
    throw new RangeError(`Cannot answer STUN request: "${text}" is not an IP address`);
  }
  return ipaddr.process(bare).toByteArray();
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  return crc;
});

/** FINGERPRINT of the first `end` bytes: their CRC-32 (IEEE 802.3), masked. */
function fingerprint(message: Uint8Array, end: number): number {
  let crc = 0xffffffff;
  for (let i = 0; i < end; i++) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ message[i]!) & 0xff]!;
  return (crc ^ 0xffffffff ^ FINGERPRINT_XOR) >>> 0;
}
