/**
 * PeerPresent: what a relay tells a watching relay about a client that connected.
 *
 * @module
 */

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
function parseAddress(address: string): Uint8Array {
  const refuse = () => new DerpError(`Cannot use address "${address}": not an IP address`);
  const bytes = new Uint8Array(ADDRESS_LENGTH);
  const parseV4 = (quad: string, offset: number) => {
    const parts = quad.split(".");
    if (parts.length !== 4) throw refuse();
    for (const [i, part] of parts.entries()) {
      if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) throw refuse();
      bytes[offset + i] = Number(part);
    }
  };
  if (!address.includes(":")) {
    bytes[10] = bytes[11] = 0xff;
    parseV4(address, 12);
    return bytes;
  }
  let v6 = address.split("%", 1)[0]!;
  let groups = 8;
  const dot = v6.lastIndexOf(":");
  if (v6.indexOf(".") > dot) {
    parseV4(v6.slice(dot + 1), 12);
    groups = 6;
    v6 = v6.slice(0, dot);
    if (v6.endsWith(":")) v6 += ":";
  }
  const halves = v6.split("::");
  const head = halves[0] === "" ? [] : halves[0]!.split(":");
  const tail = halves[1] === undefined || halves[1] === "" ? [] : halves[1].split(":");
  const missing = groups - head.length - tail.length;
  if (halves.length > 2 || (halves.length === 2 ? missing < 1 : missing !== 0)) throw refuse();
  const all = [...head, ...new Array<string>(missing).fill("0"), ...tail];
  for (const [i, group] of all.entries()) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) throw refuse();
    const value = parseInt(group, 16);
    bytes[2 * i] = value >>> 8;
    bytes[2 * i + 1] = value;
  }
  return bytes;
}

/** Text of 16 address bytes; RFC 5952 for IPv6, dotted quad for v4-mapped. */
function formatAddress(bytes: Uint8Array): string {
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff &&
    bytes[11] === 0xff;
  if (mapped) return bytes.subarray(12).join(".");
  const groups: number[] = [];
  for (let i = 0; i < ADDRESS_LENGTH; i += 2) groups.push(bytes[i]! << 8 | bytes[i + 1]!);
  let start = -1;
  let longest = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > longest) [start, longest] = [i, run];
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (start < 0) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + longest))}`;
}
