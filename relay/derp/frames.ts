/**
 * DERP frames: headers, the frames that are not packets, and the plain reference reader.
 *
 * The packet path writes headers in place ({@linkcode writeHeader}) and never builds frames here.
 *
 * @module
 */

import {
  DISCO_MAGIC,
  FrameType,
  HEADER_LENGTH,
  KEY_LENGTH,
  MAGIC,
  MAX_PACKET,
  MAX_SERVER_KEY,
  MIN_DISCO,
  PeerGoneReason,
  PING_LENGTH,
} from "./constants.ts";
import { DerpError } from "./error.ts";

const utf8 = new TextEncoder();
const text = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Writes a frame header.
 *
 * @param buf where to write; must have five bytes at `offset`
 * @param type the frame's type, one byte
 * @param length of the payload in bytes, 0 to 2^32 - 1
 * @returns the offset behind the header
 */
export function writeHeader(buf: Uint8Array, offset: number, type: number, length: number): number {
  buf[offset] = type;
  buf[offset + 1] = length >>> 24;
  buf[offset + 2] = length >>> 16;
  buf[offset + 3] = length >>> 8;
  buf[offset + 4] = length;
  return offset + HEADER_LENGTH;
}

/** Reads the payload length, unsigned, of the frame header at `offset` (five bytes must be there). */
export function payloadLength(buf: Uint8Array, offset: number): number {
  return ((buf[offset + 1]! << 24) | (buf[offset + 2]! << 16) | (buf[offset + 3]! << 8) |
    buf[offset + 4]!) >>> 0;
}

/** Tells whether the packet of `length` bytes at `offset` is disco: 62 bytes or more, and the magic. */
export function isDisco(buf: Uint8Array, offset: number, length: number): boolean {
  if (length < MIN_DISCO) return false;
  for (let i = 0; i < DISCO_MAGIC.length; i++) {
    if (buf[offset + i] !== DISCO_MAGIC[i]) return false;
  }
  return true;
}

/** Builds a whole frame of `type` around `payload` parts. */
export function encodeFrame(type: number, ...parts: Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const frame = new Uint8Array(HEADER_LENGTH + length);
  let offset = writeHeader(frame, 0, type, length);
  for (const part of parts) {
    frame.set(part, offset);
    offset += part.length;
  }
  return frame;
}

/** ServerKey frame: the first thing a server says. */
export function encodeServerKey(publicKey: Uint8Array): Uint8Array {
  return encodeFrame(FrameType.ServerKey, MAGIC, checkKey(publicKey));
}

/**
 * Reads the server's public key (a copy) out of a ServerKey payload; bytes after it are ignored.
 *
 * @throws {DerpError} when the length is not 40 to 1024 or the magic is another
 */
export function decodeServerKey(payload: Uint8Array): Uint8Array {
  if (payload.length < MAGIC.length + KEY_LENGTH || payload.length > MAX_SERVER_KEY) {
    throw new DerpError(`Cannot read ServerKey: ${payload.length} bytes, not 40 to 1024`);
  }
  for (let i = 0; i < MAGIC.length; i++) {
    if (payload[i] !== MAGIC[i]) {
      throw new DerpError("Cannot read ServerKey: it does not start with the DERP magic");
    }
  }
  return payload.slice(MAGIC.length, MAGIC.length + KEY_LENGTH);
}

/** KeepAlive frame. */
export function encodeKeepAlive(): Uint8Array {
  return encodeFrame(FrameType.KeepAlive);
}

/** NotePreferred frame: whether this relay is the client's home. */
export function encodeNotePreferred(preferred: boolean): Uint8Array {
  return encodeFrame(FrameType.NotePreferred, Uint8Array.of(preferred ? 1 : 0));
}

/**
 * Reads a NotePreferred payload: any byte but 0 means yes.
 *
 * @throws {DerpError} when it is not one byte
 */
export function decodeNotePreferred(payload: Uint8Array): boolean {
  if (payload.length !== 1) {
    throw new DerpError(`Cannot read NotePreferred: ${payload.length} bytes, not 1`);
  }
  return payload[0] !== 0;
}

/** PeerGone frame. */
export function encodePeerGone(key: Uint8Array, reason: number): Uint8Array {
  return encodeFrame(FrameType.PeerGone, checkKey(key), Uint8Array.of(reason));
}

/**
 * Reads a PeerGone payload; without a reason byte (old servers) the reason is Disconnected.
 *
 * @returns the key (a copy) and the reason byte, which may be one unknown to this version
 * @throws {DerpError} when it is shorter than a key
 */
export function decodePeerGone(payload: Uint8Array): { key: Uint8Array; reason: number } {
  return {
    key: keyAt("PeerGone", payload, 0),
    reason: payload[KEY_LENGTH] ?? PeerGoneReason.Disconnected,
  };
}

/** Ping frame. `data` is eight bytes of the sender's choice. */
export function encodePing(data: Uint8Array): Uint8Array {
  return encodeFrame(FrameType.Ping, checkPing(data));
}

/** Pong frame: `data` are the eight bytes of the Ping. */
export function encodePong(data: Uint8Array): Uint8Array {
  return encodeFrame(FrameType.Pong, checkPing(data));
}

/**
 * Reads the eight bytes (a copy) out of a Ping or Pong payload; what follows is ignored.
 *
 * @throws {DerpError} when there are fewer
 */
export function decodePing(payload: Uint8Array): Uint8Array {
  if (payload.length < PING_LENGTH) {
    throw new DerpError(`Cannot read Ping or Pong: ${payload.length} bytes, not 8`);
  }
  return payload.slice(0, PING_LENGTH);
}

/** SendPacket frame to `destination`. */
export function encodeSendPacket(destination: Uint8Array, packet: Uint8Array): Uint8Array {
  return encodeFrame(FrameType.SendPacket, checkKey(destination), checkPacket(packet));
}

/** RecvPacket frame from `source`. */
export function encodeRecvPacket(source: Uint8Array, packet: Uint8Array): Uint8Array {
  return encodeFrame(FrameType.RecvPacket, checkKey(source), checkPacket(packet));
}

/**
 * Reads a SendPacket or RecvPacket payload.
 *
 * @returns the other side's key and the packet, both copies
 * @throws {DerpError} when it has no key or the packet is longer than {@linkcode MAX_PACKET}
 */
export function decodePacket(payload: Uint8Array): { key: Uint8Array; packet: Uint8Array } {
  const key = keyAt("packet", payload, 0);
  return { key, packet: checkPacket(payload.slice(KEY_LENGTH)) };
}

/** ForwardPacket frame from `source`, connected here, to `destination`, connected there. */
export function encodeForwardPacket(
  source: Uint8Array,
  destination: Uint8Array,
  packet: Uint8Array,
): Uint8Array {
  return encodeFrame(
    FrameType.ForwardPacket,
    checkKey(source),
    checkKey(destination),
    checkPacket(packet),
  );
}

/**
 * Reads a ForwardPacket payload.
 *
 * @returns copies of both keys and of the packet
 * @throws {DerpError} when keys are missing or the packet is longer than {@linkcode MAX_PACKET}
 */
export function decodeForwardPacket(
  payload: Uint8Array,
): { source: Uint8Array; destination: Uint8Array; packet: Uint8Array } {
  return {
    source: keyAt("ForwardPacket", payload, 0),
    destination: keyAt("ForwardPacket", payload, KEY_LENGTH),
    packet: checkPacket(payload.slice(2 * KEY_LENGTH)),
  };
}

/** WatchConns frame. */
export function encodeWatchConns(): Uint8Array {
  return encodeFrame(FrameType.WatchConns);
}

/** ClosePeer frame. */
export function encodeClosePeer(key: Uint8Array): Uint8Array {
  return encodeFrame(FrameType.ClosePeer, checkKey(key));
}

/**
 * Reads a ClosePeer payload: the key, copied.
 *
 * @throws {DerpError} when it is not exactly a key
 */
export function decodeClosePeer(payload: Uint8Array): Uint8Array {
  if (payload.length !== KEY_LENGTH) {
    throw new DerpError(`Cannot read ClosePeer: ${payload.length} bytes, not 32`);
  }
  return payload.slice();
}

/** Health frame: the problem in words, or "" when there is none any more. */
export function encodeHealth(problem: string): Uint8Array {
  return encodeFrame(FrameType.Health, utf8.encode(problem));
}

/** Reads a Health payload; invalid UTF-8 becomes U+FFFD. */
export function decodeHealth(payload: Uint8Array): string {
  return text.decode(payload);
}

/**
 * Restarting frame.
 *
 * @param reconnectMs wait this long before reconnecting, in milliseconds
 * @param tryMs then keep trying for this long, in milliseconds
 */
export function encodeRestarting(reconnectMs: number, tryMs: number): Uint8Array {
  const payload = new Uint8Array(8);
  const view = new DataView(payload.buffer);
  view.setUint32(0, reconnectMs);
  view.setUint32(4, tryMs);
  return encodeFrame(FrameType.Restarting, payload);
}

/**
 * Reads a Restarting payload, in milliseconds; what follows the eight bytes is ignored.
 *
 * @throws {DerpError} when there are fewer
 */
export function decodeRestarting(payload: Uint8Array): { reconnectMs: number; tryMs: number } {
  if (payload.length < 8) {
    throw new DerpError(`Cannot read Restarting: ${payload.length} bytes, not 8`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return { reconnectMs: view.getUint32(0), tryMs: view.getUint32(4) };
}

/** Copies the key at `offset` of a payload. */
function keyAt(what: string, payload: Uint8Array, offset: number): Uint8Array {
  if (payload.length < offset + KEY_LENGTH) {
    throw new DerpError(`Cannot read ${what}: ${payload.length} bytes are too few`);
  }
  return payload.slice(offset, offset + KEY_LENGTH);
}

function checkKey(key: Uint8Array): Uint8Array {
  if (key.length !== KEY_LENGTH) {
    throw new DerpError(`Cannot use key: ${key.length} bytes, not ${KEY_LENGTH}`);
  }
  return key;
}

function checkPing(data: Uint8Array): Uint8Array {
  if (data.length !== PING_LENGTH) {
    throw new DerpError(`Cannot ping with ${data.length} bytes: it takes ${PING_LENGTH}`);
  }
  return data;
}

function checkPacket(packet: Uint8Array): Uint8Array {
  if (packet.length > MAX_PACKET) {
    throw new DerpError(`Cannot carry packet: ${packet.length} bytes, more than ${MAX_PACKET}`);
  }
  return packet;
}
