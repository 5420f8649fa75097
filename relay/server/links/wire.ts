/**
 * What siblings (the workers of one relay) say to each other beside the mesh's own frames.
 *
 * They are processes of one host and one version or two that follow each other, and trust each
 * other; so a run of packets for one destination travels as it was read, in one frame, and a
 * PeerPresent carries when the key connected or spoke last, eight bytes more than its own. A Ping of
 * theirs is a mark, the number of a point in what was told: the Pong says that all before is known.
 */
import {
  encodeFrame,
  encodePeerPresent,
  encodePing,
  HEADER_LENGTH,
  KEY_LENGTH,
  MAX_PACKET,
  type PeerPresent,
  PING_LENGTH,
} from "../../derp/mod.ts";

/** Frame types that DERP does not use. */
export const SiblingFrame = {
  /** `source(32)`, then whole SendPacket frames of that source, all for one destination. */
  Run: 0x0b,
  /** The sender's name, UTF-8; the first frame in either direction. */
  Hello: 0x0c,
} as const;

/** Bytes of a Run frame in front of its SendPacket frames. */
export const RUN_PREFIX = HEADER_LENGTH + KEY_LENGTH;

/** Bytes of ForwardPacket in front of its packet. */
export const FORWARD_PREFIX = HEADER_LENGTH + 2 * KEY_LENGTH;

/** Most bytes of SendPacket frames in one run. The largest such frame fits. */
export const MAX_RUN = HEADER_LENGTH + KEY_LENGTH + MAX_PACKET;

const PRESENT_PAYLOAD = 51;
const STAMP_LENGTH = 8;

/** PeerPresent for a sibling. `stamp` in milliseconds since the Unix epoch. */
export function encodeSiblingPresent(peer: PeerPresent, stamp: number): Uint8Array {
  const plain = encodePeerPresent(peer);
  const bytes = new Uint8Array(STAMP_LENGTH);
  new DataView(bytes.buffer).setFloat64(0, stamp);
  return encodeFrame(plain[0]!, plain.subarray(HEADER_LENGTH), bytes);
}

/**
 * Splits a sibling's PeerPresent payload into the frame for relays of the region and its stamp.
 * Undefined when it is none.
 */
export function openSiblingPresent(
  payload: Uint8Array,
  type: number,
): { plain: Uint8Array; stamp: number } | undefined {
  if (payload.length < PRESENT_PAYLOAD + STAMP_LENGTH) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const stamp = view.getFloat64(PRESENT_PAYLOAD);
  if (!Number.isFinite(stamp)) return undefined;
  return { plain: encodeFrame(type, payload.subarray(0, PRESENT_PAYLOAD)), stamp };
}

/** The mark behind the keys that were there when a sibling asked; what comes later counts from 1. */
export const ALL_TOLD = 0;

/** Ping frame that is a mark. */
export function encodeMark(number: number): Uint8Array {
  const data = new Uint8Array(PING_LENGTH);
  new DataView(data.buffer).setFloat64(0, number);
  return encodePing(data);
}

/** The number of a mark, from the eight bytes at `offset` of its Ping or of the Pong to it. */
export function openMark(buffer: Uint8Array, offset: number): number {
  return new DataView(buffer.buffer, buffer.byteOffset + offset, PING_LENGTH).getFloat64(0);
}
