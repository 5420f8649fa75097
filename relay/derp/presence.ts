/**
 * PeerPresent: what a relay tells a watching relay about a client that connected.
 *
 * @module
 */

import ipaddr from "ipaddr.js";
import { FrameType, KEY_LENGTH } from "./constants.ts";
import { DerpError } from "./error.ts";
import { encodeFrame } from "./frames.ts";

/** A client as PeerPresent describes it. */
export interface PeerPresent {
  /** The client's public key, 32 bytes. */
  key: Uint8Array;
  /** IP address of the client's TCP connection, as text without port; absent when unknown. */
  address?: string;
  /** Its port; absent when the address is. */
  port?: number;
  /** Bits of PeerPresentFlag; absent or 0 when the server is too old to say. */
  flags?: number;
}

const ADDRESS_LENGTH = 16;
const WITH_ADDRESS = KEY_LENGTH + ADDRESS_LENGTH + 2;
const LENGTH = WITH_ADDRESS + 1;

/**
 * PeerPresent frame.
 *
 * @throws {DerpError} when the key is not 32 bytes or the address is not an IP address
 */
export function encodePeerPresent(peer: PeerPresent): Uint8Array {
  if (peer.key.length !== KEY_LENGTH) {
    throw new DerpError(`Cannot use key: ${peer.key.length} bytes, not ${KEY_LENGTH}`);
  }
  const payload = new Uint8Array(LENGTH);
  payload.set(peer.key);
  if (peer.address !== undefined) {
    payload.set(parseAddress(peer.address), KEY_LENGTH);
    const port = peer.port ?? 0;
    payload[WITH_ADDRESS - 2] = port >>> 8;
    payload[WITH_ADDRESS - 1] = port;
  }
  payload[LENGTH - 1] = peer.flags ?? 0;
  return encodeFrame(FrameType.PeerPresent, payload);
}

/**
 * Reads a PeerPresent payload. The layouts of older servers, without flags or without address,
 * are accepted; later additions are ignored.
 *
 * @returns the key is a copy; a v4-mapped address comes as plain IPv4
 * @throws {DerpError} when it is shorter than a key
 */
export function decodePeerPresent(payload: Uint8Array): PeerPresent {
  if (payload.length < KEY_LENGTH) {
    throw new DerpError(`Cannot read PeerPresent: ${payload.length} bytes are too few`);
  }
  const peer: PeerPresent = { key: payload.slice(0, KEY_LENGTH) };
  if (payload.length >= WITH_ADDRESS) {
    const bytes = payload.subarray(KEY_LENGTH, KEY_LENGTH + ADDRESS_LENGTH);
    const port = payload[WITH_ADDRESS - 2]! << 8 | payload[WITH_ADDRESS - 1]!;
    if (port !== 0 || bytes.some((byte) => byte !== 0)) {
      peer.address = formatAddress(bytes);
      peer.port = port;
    }
  }
  if (payload.length >= LENGTH) peer.flags = payload[LENGTH - 1]!;
  return peer;
}

/** The 16 bytes of an IP address; IPv4 becomes v4-mapped. A zone ("%eth0") is dropped. */
function parseAddress(address: string): number[] {
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) {
    return ipaddr.IPv4.parse(address).toIPv4MappedAddress().toByteArray();
  }
  const bare = address.split("%", 1)[0]!;
  if (ipaddr.IPv6.isValid(bare)) return ipaddr.IPv6.parse(bare).toByteArray();
  throw new DerpError(`Cannot use address "${address}": not an IP address`);
}

/** Text of 16 address bytes; RFC 5952 for IPv6, dotted quad for v4-mapped. */
function formatAddress(bytes: Uint8Array): string {
  const address = new ipaddr.IPv6([...bytes]);
  if (address.isIPv4MappedAddress()) return address.toIPv4Address().toString();
  return address.toRFC5952String();
}
