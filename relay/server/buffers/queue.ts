/**
 * What waits to be written to one client.
 *
 * Frames of every kind stand in one buffer in the order they were queued, so that a PeerGone never
 * overtakes the packets it is about. The buffer is borrowed when the first frame comes and given
 * back when it has been written. While one buffer is being written, the next gathers: nothing that
 * the runtime is reading is touched.
 *
 * Bounded in packets, bytes and age. Too many packets: the oldest go, because a newer packet is
 * worth more to what runs inside the tunnel. Control frames never go for a packet's sake; one that
 * stands before dropped packets is kept aside and written first.
 */
import { FrameType, HEADER_LENGTH, isDisco, KEY_LENGTH, payloadLength } from "../../derp/mod.ts";
import { type Counters, DropReason } from "../counters.ts";
import type { Limits } from "../limits.ts";
import type { Pools } from "./pool.ts";

/** Bytes of a packet frame before the packet: header and key. */
export const PACKET_PREFIX = HEADER_LENGTH + KEY_LENGTH;

/** One client's outgoing frames. */
export class OutputQueue {
  readonly #limits: Limits;
  readonly #pools: Pools;
  readonly #counters: Counters;

  // Gathering.
  #buffer: Uint8Array | undefined;
  #head = 0;
  #tail = 0;
  #packets = 0;
  #control = 0;
  // Control frames saved from in front of dropped packets.
  #kept: Uint8Array[] | undefined;
  #keptBytes = 0;
  // Everything before this offset was queued before `#markTime`.
  #mark = 0;
  #markTime = 0;

  // Being written.
  #writing: Uint8Array | undefined;
  #writingHead = 0;
  #writingTail = 0;
  #writingPackets = 0;
  #writingControl = 0;

  constructor(limits: Limits, pools: Pools, counters: Counters) {
    this.#limits = limits;
    this.#pools = pools;
    this.#counters = counters;
  }

  /** Packets waiting, without those being written. */
  get packets(): number {
    return this.#packets;
  }

  /** Bytes waiting, without those being written. */
  get bytes(): number {
    return this.#tail - this.#head + this.#keptBytes;
  }

  get empty(): boolean {
    return this.bytes === 0;
  }

  /** True between {@link beginWrite} and {@link endWrite}. */
  get writing(): boolean {
    return this.#writing !== undefined;
  }

  /**
   * Copies `count` whole RecvPacket frames, `source[start..end)`, with one copy. Drops the oldest
   * packets where they do not fit.
   */
  pushPackets(source: Uint8Array, start: number, end: number, count: number): void {
    const length = end - start;
    const buffer = this.#room(length);
    if (buffer === undefined) { // Cannot happen while a run is at most one read buffer.
      this.#count(source, start, end, DropReason.QueueTail);
      return;
    }
    this.#pools.copy(source, start, end, buffer, this.#tail);
    this.#tail += length;
    this.#packets += count;
    if (
      this.#packets > this.#limits.queuePackets ||
      this.#tail - this.#head - this.#control > this.#limits.queueBytes
    ) this.#shrink();
  }

  /** Queues one control frame. False, and not queued, when too many of them wait. */
  pushControl(frame: Uint8Array): boolean {
    const waiting = this.#control + this.#keptBytes + this.#writingControl;
    if (waiting + frame.length > this.#limits.controlBytes) return false;
    const buffer = this.#room(frame.length);
    if (buffer === undefined) return false;
    buffer.set(frame, this.#tail);
    this.#tail += frame.length;
    this.#control += frame.length;
    return true;
  }

  /** Drops packets that have waited for longer than the limit. `now` in milliseconds. */
  expire(now: number): void {
    if (this.#packets === 0) {
      this.#markTime = 0;
      return;
    }
    if (this.#markTime !== 0) {
      if (now - this.#markTime < this.#limits.queueMs) return;
      while (this.#packets > 0 && this.#head < this.#mark) {
        this.#dropOldest(DropReason.QueueAge, this.#mark);
      }
      if (this.empty) return this.clear();
    }
    this.#mark = this.#tail;
    this.#markTime = now;
  }

  /**
   * Makes all that waits the batch to be written and starts an empty one. Frames kept aside come
   * first. Undefined when nothing waits. The batch is one piece, and stays untouched until
   * {@link endWrite}.
   */
  beginWrite(): Uint8Array | undefined {
    if (this.#writing !== undefined || this.empty) return undefined;
    if (this.#kept !== undefined) this.#restoreKept();
    const buffer = this.#buffer!;
    this.#writing = buffer;
    this.#writingHead = this.#head;
    this.#writingTail = this.#tail;
    this.#writingPackets = this.#packets;
    this.#writingControl = this.#control;
    this.#buffer = undefined;
    this.#head =
      this.#tail =
      this.#packets =
      this.#control =
        0;
    this.#markTime = 0;
    return buffer.subarray(this.#writingHead, this.#writingTail);
  }

  /** Ends the batch: counted as sent, or as dropped by a failed write. */
  endWrite(sent: boolean): void {
    const buffer = this.#writing;
    if (buffer === undefined) return;
    if (sent) {
      const counters = this.#counters;
      counters.writes += 1;
      counters.packetsSent += this.#writingPackets;
      counters.bytesSent += this.#writingTail - this.#writingHead - this.#writingControl -
        PACKET_PREFIX * this.#writingPackets;
    } else {
      this.#count(buffer, this.#writingHead, this.#writingTail, DropReason.WriteError);
    }
    this.#writing = undefined;
    this.#writingPackets = this.#writingControl = 0;
    this.#pools.giveQueue(buffer);
  }

  /** Drops all that waits, because the client is gone. The batch being written is left alone. */
  clear(): void {
    const buffer = this.#buffer;
    if (buffer !== undefined) {
      this.#count(buffer, this.#head, this.#tail, DropReason.GoneDisconnected);
      this.#pools.giveQueue(buffer);
    }
    this.#buffer = undefined;
    this.#kept = undefined;
    this.#head =
      this.#tail =
      this.#packets =
      this.#control =
      this.#keptBytes =
        0;
    this.#markTime = 0;
  }

  /** A buffer with room for `length` bytes at the tail. */
  #room(length: number): Uint8Array | undefined {
    const old = this.#buffer;
    if (old !== undefined && this.#tail + length <= old.length) return old;
    const live = this.#tail - this.#head;
    if (old === undefined) {
      this.#buffer = this.#pools.takeQueue(length);
      return this.#buffer;
    }
    // Moving to the front is worth it only when it frees a good part of the buffer.
    if (live + length <= old.length - (old.length >> 2)) {
      old.copyWithin(0, this.#head, this.#tail);
    } else {
      const next = this.#pools.takeQueue(live + length + (live >> 1)) ??
        this.#pools.takeQueue(live + length);
      if (next === undefined) return undefined;
      this.#pools.copy(old, this.#head, this.#tail, next, 0);
      this.#pools.giveQueue(old);
      this.#buffer = next;
    }
    this.#mark = Math.max(0, this.#mark - this.#head);
    this.#head = 0;
    this.#tail = live;
    return this.#buffer;
  }

  /** Drops the oldest packets until the limits hold again. */
  #shrink(): void {
    const { queuePackets, queueBytes } = this.#limits;
    while (
      this.#packets > queuePackets ||
      this.#tail - this.#head - this.#control > queueBytes
    ) this.#dropOldest(DropReason.QueueHead);
  }

  /** Drops the oldest packet before an offset; control frames in front of it are kept aside. */
  #dropOldest(reason: DropReason, before = this.#tail): void {
    const buffer = this.#buffer!;
    while (this.#head < before) {
      const at = this.#head;
      const length = payloadLength(buffer, at);
      this.#head = at + HEADER_LENGTH + length;
      if (buffer[at] === FrameType.RecvPacket) {
        const bytes = length - KEY_LENGTH;
        this.#packets -= 1;
        this.#counters.drop(reason, isDisco(buffer, at + PACKET_PREFIX, bytes), bytes);
        break;
      }
      const frame = buffer.slice(at, this.#head);
      (this.#kept ??= []).push(frame);
      this.#keptBytes += frame.length;
      this.#control -= frame.length;
    }
    if (this.#head === this.#tail) this.#head = this.#tail = this.#mark = 0;
  }

  /** Puts the frames kept aside in front of what waits. */
  #restoreKept(): void {
    const live = this.#tail - this.#head;
    const length = this.#keptBytes + live;
    const old = this.#buffer!;
    const next = this.#pools.takeQueue(length) ?? new Uint8Array(length);
    let at = 0;
    for (const frame of this.#kept!) {
      next.set(frame, at);
      at += frame.length;
    }
    this.#pools.copy(old, this.#head, this.#tail, next, at);
    this.#pools.giveQueue(old);
    this.#buffer = next;
    this.#head = 0;
    this.#tail = length;
    this.#control += this.#keptBytes;
    this.#kept = undefined;
    this.#keptBytes = 0;
  }

  /** Counts the packets among whole frames as dropped. */
  #count(buffer: Uint8Array, start: number, end: number, reason: DropReason): void {
    for (let at = start; at < end;) {
      const length = payloadLength(buffer, at);
      if (buffer[at] === FrameType.RecvPacket) {
        const bytes = length - KEY_LENGTH;
        this.#counters.drop(reason, isDisco(buffer, at + PACKET_PREFIX, bytes), bytes);
      }
      at += HEADER_LENGTH + length;
    }
  }
}
