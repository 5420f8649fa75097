/** For load generators: counting what a relay delivers, where it lies in the read buffer. */
import { FrameType, HEADER_LENGTH, payloadLength } from "../../../relay/derp/mod.ts";

/**
 * Takes the whole frames off the front of `buffer[0..filled)`; what is left moves to the front.
 *
 * @returns how many of them were packets, and how many bytes are left
 */
export function takePackets(
  buffer: Uint8Array,
  filled: number,
): { packets: number; left: number } {
  let at = 0;
  let packets = 0;
  while (filled - at >= HEADER_LENGTH) {
    const next = at + HEADER_LENGTH + payloadLength(buffer, at);
    if (next > filled) break;
    if (buffer[at] === FrameType.RecvPacket) packets += 1;
    at = next;
  }
  buffer.copyWithin(0, at, filled);
  return { packets, left: filled - at };
}
