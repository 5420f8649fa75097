/**
 * The probe of a path, as bytes: a question ("ping") and its answer ("pong"), of one length, so that
 * nobody is answered with more than he sent.
 *
 * ```
 *  0  4  magic            no message of WireGuard or STUN begins so
 *  4  1  version          1
 *  5  1  kind             1 ping, 2 pong
 *  6  2  flags            of a ping, bit 0: probe me as well; bit 1: ask me as well, here, once;
 *                         the others are zero
 *        word             of a pong: what the peer says of itself, by the planner's leave
 *  8  8  hint             who asks or answers whom: a hash of the two public keys, in this order
 * 16 16  id               random; the answer has that of the question
 * 32 16  MAC              BLAKE2s of all before it, keyed by what only the two hosts know
 * ```
 *
 * @module
 */
import { blake2s } from "@noble/hashes/blake2.js";
import { PROBE_MAGIC } from "../ports/mod.ts";

/** Bytes of every message. */
export const PROBE_LENGTH = 48;
const VERSION = 1, PING = 1, PONG = 2;
const CALL = 0x0001, ASK = 0x0002;
const MAC_AT = 32, MAC_LENGTH = 16;

/** A message without its MAC. */
export interface ProbeMessage {
  kind: "ping" | "pong";
  /** The receiver shall probe as well, now: two NATs open only when both sides send. */
  call: boolean;
  /** The receiver shall ask as well, where it was asked: there is news to be had (ping only). */
  ask: boolean;
  /** What the sender says of itself, 16 bits (pong only): so it is an answer, and never an old one. */
  word: number;
  /** 16 hex digits. */
  hint: string;
  /** 32 hex digits. */
  id: string;
}

/** A message and its MAC. */
export function encodeProbe(message: ProbeMessage, key: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PROBE_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, PROBE_MAGIC);
  view.setUint8(4, VERSION);
  view.setUint8(5, message.kind === "ping" ? PING : PONG);
  const flags = (message.call ? CALL : 0) | (message.ask ? ASK : 0);
  view.setUint16(6, message.kind === "ping" ? flags : message.word);
  bytes.set(Uint8Array.fromHex(message.hint), 8);
  bytes.set(Uint8Array.fromHex(message.id), 16);
  bytes.set(macOf(bytes, key), MAC_AT);
  return bytes;
}

/** Reads a message; undefined when it is none. Whose it is has yet to be proved: {@link isGenuine}. */
export function parseProbe(bytes: Uint8Array): ProbeMessage | undefined {
  if (bytes.length !== PROBE_LENGTH) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const kind = view.getUint8(5), flags = view.getUint16(6);
  if (view.getUint32(0) !== PROBE_MAGIC || view.getUint8(4) !== VERSION) return undefined;
  if (kind !== PING && kind !== PONG) return undefined;
  const ping = kind === PING;
  if (ping && (flags & ~(CALL | ASK)) !== 0) return undefined;
  return {
    kind: ping ? "ping" : "pong",
    call: ping && (flags & CALL) !== 0,
    ask: ping && (flags & ASK) !== 0,
    word: ping ? 0 : flags,
    hint: bytes.subarray(8, 16).toHex(),
    id: bytes.subarray(16, MAC_AT).toHex(),
  };
}

/** True when a message was made with the key; takes as long for each wrong one. */
export function isGenuine(bytes: Uint8Array, key: Uint8Array): boolean {
  const mac = macOf(bytes, key);
  let difference = bytes.length ^ PROBE_LENGTH;
  for (let i = 0; i < MAC_LENGTH; i++) difference |= mac[i]! ^ (bytes[MAC_AT + i] ?? 0);
  return difference === 0;
}

function macOf(bytes: Uint8Array, key: Uint8Array): Uint8Array {
  return blake2s(bytes.subarray(0, MAC_AT), { key, dkLen: MAC_LENGTH });
}
