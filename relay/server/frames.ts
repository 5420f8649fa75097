/**
 * What a client's frames do: the packet path.
 *
 * Frames are walked where they were read. A SendPacket and the RecvPacket it becomes have the same
 * length, so its type byte and its key are overwritten in place, and a run of packets for one
 * destination is copied to that destination's queue as one piece. Nothing is allocated per packet,
 * also when each goes elsewhere than the one before; a client so quiet that it reads into its own
 * small buffer costs one view for each run.
 */
import {
  DISCO_MAGIC,
  encodePong,
  FrameType,
  HEADER_LENGTH,
  isDisco,
  KEY_LENGTH,
  MAX_PACKET,
  MAX_PING,
  payloadLength,
  PING_LENGTH,
} from "../derp/mod.ts";
import type { Connection } from "./connection.ts";
import { DropReason } from "./counters.ts";
import { MAX_UNKNOWN_FRAME } from "./limits.ts";
import { PACKET_PREFIX } from "./buffers/mod.ts";
import type { Peer } from "./peers/mod.ts";

const MAX_SEND = KEY_LENGTH + MAX_PACKET;
const DISCO_FIRST = DISCO_MAGIC[0];

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
  if (end - at >= HEADER_LENGTH && connection.peer.duplicated) {
    connection.peer.spoke(connection);
  }
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
    if (!permitted(type, length)) return false;
    if (next > end && (type === FrameType.Ping || type === FrameType.NotePreferred)) break;
    if (type === FrameType.Ping) {
      pong(connection, buffer, at + HEADER_LENGTH);
    } else if (type === FrameType.NotePreferred) {
      connection.notePreferred(buffer[at + HEADER_LENGTH] !== 0);
    } else {
      // Pong too: this relay does not ping, so nothing waits for one.
      if (type !== FrameType.Pong) connection.hub.counters.unknownFrames += 1;
      if (next > end) {
        connection.skip = next - end;
        at = end;
        break;
      }
    }
    at = next;
  }
  input.start = at;
  return true;
}

/** Whether a client may send a frame of this type and length. SendPacket is checked elsewhere. */
function permitted(type: number, length: number): boolean {
  switch (type) {
    case FrameType.Ping:
      return length >= PING_LENGTH && length <= MAX_PING;
    case FrameType.NotePreferred:
      return length === 1;
    case FrameType.ForwardPacket:
    case FrameType.WatchConns:
    case FrameType.ClosePeer:
      return false;
    default:
      return length <= MAX_UNKNOWN_FRAME;
  }
}

function pong(connection: Connection, buffer: Uint8Array, at: number): void {
  const { counters } = connection.hub;
  counters.gotPing += 1;
  if (connection.control(encodePong(buffer.subarray(at, at + PING_LENGTH)))) counters.sentPong += 1;
  else counters.pingsIgnored += 1;
}

/**
 * Forwards the whole SendPacket frame at `at` and those behind it for the same destination.
 * Returns the offset behind the last one.
 */
function forward(connection: Connection, buffer: Uint8Array, at: number, end: number): number {
  let peer = connection.lastDestination;
  if (peer === undefined || peer.gone || !sameKey(peer.key, buffer, at + HEADER_LENGTH)) {
    peer = connection.hub.registry.find(buffer, at + HEADER_LENGTH);
    if (peer === undefined) return refuse(connection, buffer, at);
    connection.lastDestination = peer;
  }
  const { counters } = connection.hub;
  const target = peer.active;
  if (target === undefined) return dropUndecided(connection, buffer, at);
  const source = connection.key;
  const start = at;
  let packets = 0;
  let bytes = 0;
  do {
    const length = payloadLength(buffer, at);
    const first = length > KEY_LENGTH ? buffer[at + PACKET_PREFIX]! : 0;
    if (first !== 0 && first <= 4 && length >= KEY_LENGTH + 4) {
      countWireGuard(connection, buffer, at + PACKET_PREFIX, first);
    } else {
      counters.wireguard[0]! += 1;
      if (first === DISCO_FIRST && isDisco(buffer, at + PACKET_PREFIX, length - KEY_LENGTH)) {
        counters.discoReceived += 1;
      }
    }
    buffer[at] = FrameType.RecvPacket;
    const key = at + HEADER_LENGTH;
    for (let i = 0; i < KEY_LENGTH; i++) buffer[key + i] = source[i]!;
    packets += 1;
    bytes += length - KEY_LENGTH;
    at += HEADER_LENGTH + length;
  } while (continues(buffer, at, end, peer));
  counters.packetsReceived += packets;
  counters.bytesReceived += bytes;
  target.queue.pushPackets(buffer, start, at, packets);
  target.hub.flusher.mark(target);
  connection.peer.sentTo(target.id, connection.hub.registry.alive);
  return at;
}

/** Whether a whole SendPacket frame for `peer` stands at `at`. */
function continues(
  buffer: Uint8Array,
  at: number,
  end: number,
  peer: Peer<Connection>,
): boolean {
  if (end - at < PACKET_PREFIX || buffer[at] !== FrameType.SendPacket) return false;
  const length = payloadLength(buffer, at);
  return length >= KEY_LENGTH && length <= MAX_SEND && at + HEADER_LENGTH + length <= end &&
    sameKey(peer.key, buffer, at + HEADER_LENGTH);
}

function sameKey(key: Uint8Array, buffer: Uint8Array, at: number): boolean {
  for (let i = 0; i < KEY_LENGTH; i++) if (key[i] !== buffer[at + i]) return false;
  return true;
}

/** Counts a packet whose first byte looks like a WireGuard message: three zero bytes follow. */
function countWireGuard(
  connection: Connection,
  buffer: Uint8Array,
  at: number,
  type: number,
): void {
  const reserved = buffer[at + 1]! | buffer[at + 2]! | buffer[at + 3]!;
  connection.hub.counters.wireguard[reserved === 0 ? type : 0]! += 1;
}

/** Counts a received packet that goes nowhere, and says whether it is disco. */
function countLost(
  connection: Connection,
  buffer: Uint8Array,
  at: number,
  reason: DropReason,
): boolean {
  const { counters } = connection.hub;
  const bytes = payloadLength(buffer, at) - KEY_LENGTH;
  const disco = isDisco(buffer, at + PACKET_PREFIX, bytes);
  const first = bytes >= 4 ? buffer[at + PACKET_PREFIX]! : 0;
  countWireGuard(connection, buffer, at + PACKET_PREFIX, first <= 4 ? first : 0);
  counters.packetsReceived += 1;
  counters.bytesReceived += bytes;
  if (disco) counters.discoReceived += 1;
  counters.drop(reason, disco, bytes);
  return disco;
}

/** Drops one packet for a key that nobody here has. Only disco packets get an answer. */
function refuse(connection: Connection, buffer: Uint8Array, at: number): number {
  const key = at + HEADER_LENGTH;
  if (countLost(connection, buffer, at, DropReason.UnknownDest)) {
    connection.notHere(buffer.subarray(key, key + KEY_LENGTH));
  }
  return key + payloadLength(buffer, at);
}

/** Drops one packet for a key with several connections, none of which has spoken last. */
function dropUndecided(connection: Connection, buffer: Uint8Array, at: number): number {
  countLost(connection, buffer, at, DropReason.DupClient);
  return at + HEADER_LENGTH + payloadLength(buffer, at);
}
