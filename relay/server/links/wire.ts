/**
 * What siblings (the workers of one relay) say to each other beside the mesh's own frames.
 *
 * They are processes of one host and one version or two that follow each other, and trust each
 * other; so a run of packets for one destination travels as it was read, in one frame, and a
 * PeerPresent carries when the key connected or spoke last, eight bytes more than its own.
 */
import {
  encodeFrame,
  encodePeerPresent,
  HEADER_LENGTH,
  KEY_LENGTH,
  MAX_PACKET,
  type PeerPresent,
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
