/**
 * The packet path.
 *
 * Packets are handled where they were read. A SendPacket and the RecvPacket it becomes have the
 * same length, so its type byte and its key are overwritten in place, and a run of packets for one
 * destination is copied to that destination's queue as one piece. What goes to another relay or
 * worker is copied to the link's queue instead, and turned there into what the link speaks. Nothing
 * is allocated per packet, also when each goes elsewhere than the one before; a client so quiet
 * that it reads into its own small buffer costs one view for each run.
 */
import {
  DISCO_MAGIC,
  FrameType,
  HEADER_LENGTH,
  isDisco,
  KEY_LENGTH,
  MAX_PACKET,
  payloadLength,
  writeHeader,
} from "../derp/mod.ts";
import { PACKET_PREFIX } from "./buffers/mod.ts";
import type { Connection } from "./connection.ts";
import { DropReason } from "./counters.ts";
import { FORWARD_PREFIX, type Link, MAX_RUN, RUN_PREFIX } from "./links/mod.ts";
import type { Peer } from "./peers/mod.ts";

type Somebody = Peer<Connection, Link>;

/** The longest payload of SendPacket, in bytes. */
export const MAX_SEND = KEY_LENGTH + MAX_PACKET;

/** Bytes of a keepalive of WireGuard. */
const KEEPALIVE_LENGTH = 32;

const DISCO_FIRST = DISCO_MAGIC[0];

/**
 * Forwards the whole SendPacket frame at `at` and those behind it for the same destination.
 * Returns the offset behind the last one.
 */
export function forward(
  connection: Connection,
  buffer: Uint8Array,
  at: number,
  end: number,
): number {
  const peer = destination(connection, buffer, at + HEADER_LENGTH);
  if (peer === undefined) return refuse(connection, buffer, at);
  if (peer.carrier !== undefined) return carry(connection, peer, peer.carrier, buffer, at, end);
  const target = peer.active;
  if (target === undefined) return dropUndecided(connection, buffer, at);
  const source = connection.key;
  const { counters } = connection.hub;
  const start = at;
  let packets = 0;
  let bytes = 0;
  do {
    const length = payloadLength(buffer, at);
    countKind(connection, buffer, at + PACKET_PREFIX, length - KEY_LENGTH);
    buffer[at] = FrameType.RecvPacket;
    const key = at + HEADER_LENGTH;
    for (let i = 0; i < KEY_LENGTH; i++) buffer[key + i] = source[i]!;
    packets += 1;
    bytes += length - KEY_LENGTH;
    at += HEADER_LENGTH + length;
  } while (continues(buffer, at, end, peer));
  counters.packetsReceived += packets;
  counters.bytesReceived += bytes;
  deliver(target, buffer, start, at, packets);
  if (connection.peer.sentTo(target.id, connection.hub.registry.alive)) target.uniqueSenders += 1;
  return at;
}

/** As {@link forward}, for a destination that is on another relay or worker. */
function carry(
  connection: Connection,
  peer: Somebody,
  link: Link,
  buffer: Uint8Array,
  at: number,
  end: number,
): number {
  const { counters } = connection.hub;
  const start = at;
  let packets = 0;
  let bytes = 0;
  do {
    const length = payloadLength(buffer, at);
    countKind(connection, buffer, at + PACKET_PREFIX, length - KEY_LENGTH);
    packets += 1;
    bytes += length - KEY_LENGTH;
    at += HEADER_LENGTH + length;
  } while (
    continues(buffer, at, end, peer) &&
    at + HEADER_LENGTH + payloadLength(buffer, at) - start <= MAX_RUN
  );
  counters.packetsReceived += packets;
  counters.bytesReceived += bytes;
  if (link.sibling) counters.siblingOut += packets;
  else counters.forwardedOut += packets;
  link.forward(connection.key, buffer, start, at, packets);
  return at;
}

/**
 * Delivers the whole ForwardPacket frame `buffer[at..next)`. It is not sent on, except from another
 * relay to the worker that has the key: that is the one hop, and the whole protection from loops.
 */
export function takeForwarded(
  connection: Connection,
  buffer: Uint8Array,
  at: number,
  next: number,
): void {
  const { counters } = connection.hub;
  const from = at + HEADER_LENGTH;
  const to = from + KEY_LENGTH;
  const bytes = next - at - FORWARD_PREFIX;
  if (isZero(buffer, from)) {
    // Nobody's key; and such a packet would go out in the form of the protocol's first version.
    counters.unknownFrames += 1;
    return;
  }
  if (connection.sibling) counters.siblingIn += 1;
  else counters.forwardedIn += 1;
  const peer = destination(connection, buffer, to);
  const link = connection.sibling ? undefined : peer?.carrier;
  if (link?.sibling) {
    counters.siblingOut += 1;
    link.pass(buffer, at, next);
    return;
  }
  const target = peer?.active;
  if (target === undefined) {
    dropForwarded(connection, peer, buffer, to, next - bytes, bytes);
    return;
  }
  // The RecvPacket frame is 32 bytes shorter; it ends where this one does.
  const start = at + KEY_LENGTH;
  for (let i = 0; i < KEY_LENGTH; i++) buffer[to + i] = buffer[from + i]!;
  writeHeader(buffer, start, FrameType.RecvPacket, KEY_LENGTH + bytes);
  deliver(target, buffer, start, next, 1);
  noteSource(connection, buffer, to, target);
}

/**
 * Delivers a sibling's run `buffer[at..next)`: packets of one source for one key that is, or was
 * just now, connected here. If it has moved to another worker they follow it there, as ForwardPacket
 * frames, which a worker does not send on. False when it is no run.
 */
export function takeRun(
  connection: Connection,
  buffer: Uint8Array,
  at: number,
  next: number,
): boolean {
  const { counters } = connection.hub;
  const from = at + HEADER_LENGTH;
  const start = at + RUN_PREFIX;
  if (next - start < PACKET_PREFIX) return next === start;
  const to = start + HEADER_LENGTH;
  const peer = destination(connection, buffer, to);
  const target = peer?.active;
  const moved = peer?.size === 0 && peer.carrier?.sibling ? peer.carrier : undefined;
  let packets = 0;
  for (let frame = start; frame < next;) {
    const length = next - frame < PACKET_PREFIX ? 0 : payloadLength(buffer, frame);
    const behind = frame + HEADER_LENGTH + length;
    if (length < KEY_LENGTH || behind > next || buffer[frame] !== FrameType.SendPacket) {
      return false;
    }
    if (moved !== undefined) {
      // Nothing of it changes.
    } else if (target === undefined) {
      const packet = frame + PACKET_PREFIX;
      dropForwarded(connection, peer, buffer, to, packet, behind - packet);
    } else {
      buffer[frame] = FrameType.RecvPacket;
      const key = frame + HEADER_LENGTH;
      for (let i = 0; i < KEY_LENGTH; i++) buffer[key + i] = buffer[from + i]!;
    }
    packets += 1;
    frame = behind;
  }
  counters.siblingIn += packets;
  if (moved !== undefined) {
    counters.siblingOut += packets;
    moved.forward(buffer.subarray(from, start), buffer, start, next, packets, true);
  }
  if (target === undefined) return true;
  deliver(target, buffer, start, next, packets);
  noteSource(connection, buffer, from, target);
  return true;
}

/** Queues the RecvPacket frames `buffer[start..end)`. */
function deliver(
  target: Connection,
  buffer: Uint8Array,
  start: number,
  end: number,
  packets: number,
): void {
  target.queue.pushPackets(buffer, start, end, packets);
  const { flusher } = target.hub;
  if (areKeepalives(buffer, start, end, packets)) flusher.markLater(target);
  else flusher.mark(target);
}

/**
 * Whether a run of RecvPacket frames is nothing but WireGuard's keepalives: data without any. The
 * first of a session, whose counter is 0, is none: the other side sends nothing before it.
 */
function areKeepalives(buffer: Uint8Array, start: number, end: number, packets: number): boolean {
  if (end - start !== packets * (PACKET_PREFIX + KEEPALIVE_LENGTH)) return false;
  for (let at = start; at < end; at += PACKET_PREFIX + KEEPALIVE_LENGTH) {
    if (payloadLength(buffer, at) !== KEY_LENGTH + KEEPALIVE_LENGTH) return false;
    const packet = at + PACKET_PREFIX;
    if (buffer[packet] !== 4) return false;
    if ((buffer[packet + 1]! | buffer[packet + 2]! | buffer[packet + 3]!) !== 0) return false;
    let counter = 0;
    for (let i = packet + 8; i < packet + 16; i++) counter |= buffer[i]!;
    if (counter === 0) return false;
  }
  return true;
}

/** The peer of the key at `offset`; most often that of the packet before. */
function destination(
  connection: Connection,
  buffer: Uint8Array,
  offset: number,
): Somebody | undefined {
  const last = connection.lastDestination;
  if (last !== undefined && !last.gone && sameKey(last.key, buffer, offset)) return last;
  const peer = connection.hub.registry.find(buffer, offset);
  if (peer !== undefined) connection.lastDestination = peer;
  return peer;
}

/** A packet of the key at `offset` was queued for `target`, which is told when that key goes. */
function noteSource(
  connection: Connection,
  buffer: Uint8Array,
  offset: number,
  target: Connection,
): void {
  let source = connection.lastSource;
  if (source === undefined || source.gone || !sameKey(source.key, buffer, offset)) {
    source = connection.hub.registry.find(buffer, offset);
    if (source === undefined) return;
    connection.lastSource = source;
  }
  if (source.sentTo(target.id, connection.hub.registry.alive)) target.uniqueSenders += 1;
}

/** Whether a whole SendPacket frame for `peer` stands at `at`. */
function continues(buffer: Uint8Array, at: number, end: number, peer: Somebody): boolean {
  if (end - at < PACKET_PREFIX || buffer[at] !== FrameType.SendPacket) return false;
  const length = payloadLength(buffer, at);
  return length >= KEY_LENGTH && length <= MAX_SEND && at + HEADER_LENGTH + length <= end &&
    sameKey(peer.key, buffer, at + HEADER_LENGTH);
}

function sameKey(key: Uint8Array, buffer: Uint8Array, at: number): boolean {
  for (let i = 0; i < KEY_LENGTH; i++) if (key[i] !== buffer[at + i]) return false;
  return true;
}

function isZero(buffer: Uint8Array, at: number): boolean {
  for (let i = 0; i < KEY_LENGTH; i++) if (buffer[at + i] !== 0) return false;
  return true;
}

/**
 * Counts a received packet by its clear first bytes: WireGuard's message type, which three zero
 * bytes follow, or disco. Returns whether it is disco.
 */
function countKind(connection: Connection, buffer: Uint8Array, at: number, bytes: number): boolean {
  const { counters } = connection.hub;
  const first = bytes > 0 ? buffer[at]! : 0;
  if (first !== 0 && first <= 4 && bytes >= 4) {
    const reserved = buffer[at + 1]! | buffer[at + 2]! | buffer[at + 3]!;
    counters.wireguard[reserved === 0 ? first : 0]! += 1;
    return false;
  }
  counters.wireguard[0]! += 1;
  if (first !== DISCO_FIRST || !isDisco(buffer, at, bytes)) return false;
  counters.discoReceived += 1;
  return true;
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
  const disco = countKind(connection, buffer, at + PACKET_PREFIX, bytes);
  counters.packetsReceived += 1;
  counters.bytesReceived += bytes;
  counters.drop(reason, disco, bytes);
  return disco;
}

/** Drops one packet for a key that nobody has. Only disco packets get an answer. */
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

/**
 * Drops one forwarded packet, `bytes` long at `packet`, for the key at `key`. The relay that
 * forwarded a disco packet is told that the key is not here, and forgets that it was.
 */
function dropForwarded(
  connection: Connection,
  peer: Somebody | undefined,
  buffer: Uint8Array,
  key: number,
  packet: number,
  bytes: number,
): void {
  const disco = isDisco(buffer, packet, bytes);
  const undecided = peer !== undefined && peer.size > 0;
  const reason = undecided ? DropReason.DupClient : DropReason.UnknownDestOnForward;
  connection.hub.counters.drop(reason, disco, bytes);
  if (disco && !undecided) connection.notHere(buffer.subarray(key, key + KEY_LENGTH));
}
