/**
 * What the frames of a connection do. Packets, nearly all of them, are in `packets.ts`.
 */
import {
  encodePong,
  FrameType,
  HEADER_LENGTH,
  KEY_LENGTH,
  MAX_PACKET,
  MAX_PING,
  payloadLength,
  PING_LENGTH,
} from "../derp/mod.ts";
import type { Connection } from "./connection.ts";
import { MAX_UNKNOWN_FRAME } from "./limits.ts";
import { MAX_RUN, openMark, SiblingFrame } from "./links/mod.ts";
import { forward, MAX_SEND, takeForwarded, takeRun } from "./packets.ts";

/**
 * Consumes every whole frame that has been read. False when the client broke the protocol or asked
 * for what only a relay of its region may: the connection ends without a word, as DERP has it.
 */
export function walk(connection: Connection): boolean {
  const { input } = connection;
  const buffer = input.buffer;
  const end = input.end;
  let at = input.start;
  if (connection.skip > 0) {
    const skipped = Math.min(connection.skip, end - at);
    connection.skip -= skipped;
    at += skipped;
  }
  if (end - at >= HEADER_LENGTH && connection.peer.contended) connection.hub.spoke(connection);
  while (end - at >= HEADER_LENGTH) {
    const type = buffer[at]!;
    const length = payloadLength(buffer, at);
    const next = at + HEADER_LENGTH + length;
    if (type === FrameType.SendPacket) {
      if (length < KEY_LENGTH || length > MAX_SEND) return false;
      if (next > end) break;
      at = forward(connection, buffer, at, end);
      continue;
    }
    if (!permitted(connection, type, length)) return false;
    if (next <= end) {
      if (!take(connection, type, buffer, at, next)) return false;
      // It may have closed itself; whoever has left must not be put on a list again.
      if (connection.closed) return true;
    } else if (kept(connection, type)) {
      break;
    } else {
      noteUnknown(connection, type);
      connection.skip = next - end;
      at = end;
      break;
    }
    at = next;
  }
  input.start = at;
  return true;
}

/** Whether a client may send a frame of this type and length. SendPacket is checked elsewhere. */
function permitted(connection: Connection, type: number, length: number): boolean {
  switch (type) {
    case FrameType.Ping:
      return length >= PING_LENGTH && length <= MAX_PING;
    case FrameType.NotePreferred:
      return length === 1;
    case FrameType.ForwardPacket:
      return connection.trusted && length >= 2 * KEY_LENGTH &&
        length <= 2 * KEY_LENGTH + MAX_PACKET;
    case FrameType.WatchConns:
      return connection.trusted && length === 0;
    case FrameType.ClosePeer:
      return connection.trusted && length === KEY_LENGTH;
    case FrameType.Pong:
      if (connection.sibling) return length >= PING_LENGTH && length <= MAX_PING;
      return length <= MAX_UNKNOWN_FRAME;
    case SiblingFrame.Run:
      if (connection.sibling) return length >= KEY_LENGTH && length <= KEY_LENGTH + MAX_RUN;
      return length <= MAX_UNKNOWN_FRAME;
    default:
      return length <= MAX_UNKNOWN_FRAME;
  }
}

/** Whether an incomplete frame of this type is waited for; any other may be thrown away in parts. */
function kept(connection: Connection, type: number): boolean {
  return type === FrameType.Ping || type === FrameType.NotePreferred ||
    type === FrameType.ForwardPacket || type === FrameType.ClosePeer ||
    ((type === SiblingFrame.Run || type === FrameType.Pong) && connection.sibling);
}

/** Does what the whole frame `buffer[at..next)` says. False when it breaks the protocol. */
function take(
  connection: Connection,
  type: number,
  buffer: Uint8Array,
  at: number,
  next: number,
): boolean {
  const payload = at + HEADER_LENGTH;
  switch (type) {
    case FrameType.ForwardPacket:
      takeForwarded(connection, buffer, at, next);
      return true;
    case FrameType.Ping:
      pong(connection, buffer, payload);
      return true;
    case FrameType.NotePreferred:
      connection.notePreferred(buffer[payload] !== 0);
      return true;
    case FrameType.WatchConns:
      connection.hub.watch(connection);
      return true;
    case FrameType.ClosePeer:
      connection.hub.closePeer(buffer.slice(payload, next), !connection.sibling);
      return true;
    case FrameType.Pong:
      if (connection.sibling) connection.hub.confirmed(connection, openMark(buffer, payload));
      return true;
    case SiblingFrame.Run:
      if (connection.sibling) return takeRun(connection, buffer, at, next);
  }
  noteUnknown(connection, type);
  return true;
}

/** Pong is known: this relay pings siblings only, so nothing waits for another's. */
function noteUnknown(connection: Connection, type: number): void {
  if (type !== FrameType.Pong) connection.hub.counters.unknownFrames += 1;
}

function pong(connection: Connection, buffer: Uint8Array, at: number): void {
  const { counters } = connection.hub;
  counters.gotPing += 1;
  if (connection.control(encodePong(buffer.subarray(at, at + PING_LENGTH)))) counters.sentPong += 1;
  else counters.pingsIgnored += 1;
}
