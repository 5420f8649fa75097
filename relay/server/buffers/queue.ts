/**
 * What waits to be written to one client.
 *
 * Frames of every kind stand in one buffer in the order they were queued, so that a PeerGone never
 * overtakes the packets it is about. The buffer is borrowed when the first frame comes and given
 * back when it has been written. While one buffer is being written, the next gathers: nothing that
 * the runtime is reading is touched.
 *
 * Bounded in packets, bytes and age; but as many packets as the reference relay holds wait whatever
 * their size, while the memory of all queues together allows it. Too many packets: the oldest go,
 * because a newer packet is worth more to what runs inside the tunnel. Where several sources share
 * a queue, they go from those that have more than a fair share of it.
 *
 * Control frames never go for a packet's sake, and disco packets have a space of their own, so that
 * traffic does not keep peers from finding a direct path. Those that stand before dropped packets
 * are moved up behind them: the kept frames, at the queue's head.
 */
import { FrameType, HEADER_LENGTH, isDisco, KEY_LENGTH, payloadLength } from "../../derp/mod.ts";
import { type Counters, DropReason } from "../counters.ts";
import type { Limits } from "../limits.ts";
import { DISCO_PACKETS, GUARANTEED_PACKETS, type Pools } from "./pool.ts";
import { SourceTally, word } from "./tally.ts";

/** Bytes of a packet frame before the packet: header and key. */
export const PACKET_PREFIX = HEADER_LENGTH + KEY_LENGTH;

/** What a disco packet kept beside the others may have: real ones have a tenth. */
const DISCO_BYTES = 1024;

/** Of a full queue, what several sources leave free when they are cut back: less to do for each. */
const HEADROOM = 1 / 16;

/** One at a time is cut back. */
const tally = new SourceTally();

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
  // Bytes of control frames behind the kept ones.
  #control = 0;
  // Control frames and disco packets that stood before dropped packets: `[head, head + kept)`.
  #kept = 0;
  #keptDisco = 0;
  #keptDiscoBytes = 0;
  // The first source that is waiting, by parts of its key, and whether there are others.
  #low = 0;
  #high = 0;
  #several = false;
  // Everything before this offset was queued before `#markTime`.
  #mark = 0;
  #markTime = 0;

  // Being written.
  #writing: Uint8Array | undefined;
  #writingHead = 0;
  #writingTail = 0;
  #writingPackets = 0;
  #writingControl = 0;

  /** Packets that were for this client and did not get to it. */
  dropped = 0;

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
    return this.#tail - this.#head;
  }

  get empty(): boolean {
    return this.bytes === 0;
  }

  /** True between {@link beginWrite} and {@link endWrite}. */
  get writing(): boolean {
    return this.#writing !== undefined;
  }

  /**
   * Copies `count` whole RecvPacket frames of one source, `source[start..end)`, with one copy. Drops
   * packets where they do not fit.
   */
  pushPackets(source: Uint8Array, start: number, end: number, count: number): void {
    const length = end - start;
    const buffer = this.#room(length);
    if (buffer === undefined) { // Cannot happen while a run is at most one read buffer.
      this.#count(source, start, end, DropReason.QueueTail);
      return;
    }
    const low = word(source, start + HEADER_LENGTH);
    const high = word(source, start + HEADER_LENGTH + 4);
    if (this.#packets === 0) {
      this.#low = low;
      this.#high = high;
      this.#several = false;
    } else if (low !== this.#low || high !== this.#high) this.#several = true;
    this.#pools.copy(source, start, end, buffer, this.#tail);
    this.#tail += length;
    this.#packets += count;
    if (this.#over(this.#head + this.#kept)) this.#shrink();
  }

  /** Queues one control frame. False, and not queued, when too many of them wait. */
  pushControl(frame: Uint8Array): boolean {
    const waiting = this.#allControl + this.#writingControl;
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
      // Disco packets have no privilege here, so that those kept before are looked at again.
      this.#control = this.#allControl;
      this.#kept = this.#keptDisco = this.#keptDiscoBytes = 0;
      let at = this.#head;
      while (this.#packets > 0 && at < this.#mark) at = this.#step(at, DropReason.QueueAge);
      this.#closeGap(at);
      if (this.empty) return this.clear();
    }
    this.#mark = this.#tail;
    this.#markTime = now;
  }

  /**
   * Makes all that waits the batch to be written and starts an empty one. Undefined when nothing
   * waits. The batch is one piece, and stays untouched until {@link endWrite}.
   */
  beginWrite(): Uint8Array | undefined {
    if (this.#writing !== undefined || this.empty) return undefined;
    const buffer = this.#buffer!;
    this.#writing = buffer;
    this.#writingHead = this.#head;
    this.#writingTail = this.#tail;
    this.#writingPackets = this.#packets;
    this.#writingControl = this.#allControl;
    this.#reset();
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
    this.#reset();
  }

  #reset(): void {
    this.#buffer = undefined;
    this.#head =
      this.#tail =
      this.#packets =
      this.#control =
        0;
    this.#kept = this.#keptDisco = this.#keptDiscoBytes = 0;
    this.#markTime = 0;
  }

  /** Bytes of all control frames waiting. */
  get #allControl(): number {
    return this.#control + this.#kept - this.#keptDiscoBytes;
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

  /** Whether too much waits, when what stands between the kept frames and `at` is dropped. */
  #over(at: number): boolean {
    const packets = this.#packets - this.#keptDisco;
    return packets > this.#limits.queuePackets ||
      this.#tail - at - this.#control > this.#mostBytes(packets);
  }

  /** Bytes of packet frames that may wait, when they are so many packets. */
  #mostBytes(packets: number): number {
    const { queueBytes } = this.#limits;
    switch (this.#pools.pressure) {
      case 0:
        return packets <= GUARANTEED_PACKETS ? Infinity : queueBytes;
      case 1:
        return queueBytes;
      default:
        return queueBytes / 8;
    }
  }

  /** Drops packets until the limits hold again. */
  #shrink(): void {
    if (this.#several) this.#shareOut();
    let at = this.#head + this.#kept;
    while (this.#over(at)) at = this.#step(at, DropReason.QueueHead);
    this.#closeGap(at);
  }

  /**
   * Drops the frame at `at`, or keeps it: to be called for one after another, from the one behind
   * the kept frames on. {@link #closeGap} must follow. Returns the offset of the next.
   */
  #step(at: number, reason: DropReason): number {
    const buffer = this.#buffer!;
    const length = payloadLength(buffer, at);
    const next = at + HEADER_LENGTH + length;
    if (buffer[at] === FrameType.RecvPacket) {
      const bytes = length - KEY_LENGTH;
      const disco = isDisco(buffer, at + PACKET_PREFIX, bytes);
      if (!disco || bytes > DISCO_BYTES || reason !== DropReason.QueueHead) {
        this.#packets -= 1;
        this.#drop(reason, disco, bytes);
        return next;
      }
      if (this.#keptDisco === DISCO_PACKETS) this.#dropKeptDisco();
      this.#keptDisco += 1;
      this.#keptDiscoBytes += next - at;
    } else this.#control -= next - at;
    buffer.copyWithin(this.#head + this.#kept, at, next);
    this.#kept += next - at;
    return next;
  }

  /** Drops the oldest of the kept disco packets. */
  #dropKeptDisco(): void {
    const buffer = this.#buffer!;
    let at = this.#head;
    while (buffer[at] !== FrameType.RecvPacket) at += HEADER_LENGTH + payloadLength(buffer, at);
    const size = HEADER_LENGTH + payloadLength(buffer, at);
    this.#drop(DropReason.QueueHead, true, size - PACKET_PREFIX);
    buffer.copyWithin(this.#head + size, this.#head, at);
    this.#head += size;
    this.#kept -= size;
    this.#keptDiscoBytes -= size;
    this.#keptDisco -= 1;
    this.#packets -= 1;
  }

  /** Moves the kept frames up to `at`, before which all others have been dropped. */
  #closeGap(at: number): void {
    const gap = at - this.#head - this.#kept;
    if (gap > 0 && this.#kept > 0) {
      this.#buffer!.copyWithin(this.#head + gap, this.#head, this.#head + this.#kept);
    }
    this.#head += gap;
    if (this.#head === this.#tail) this.#head = this.#tail = this.#mark = 0;
  }

  /** Drops the oldest packets of the sources that have more than a fair share of what may wait. */
  #shareOut(): void {
    const buffer = this.#buffer!;
    const from = this.#head + this.#kept;
    const byPackets = this.#packets - this.#keptDisco > this.#limits.queuePackets;
    tally.start();
    for (let at = from; at < this.#tail;) {
      const size = HEADER_LENGTH + payloadLength(buffer, at);
      if (buffer[at] === FrameType.RecvPacket) {
        tally.add(buffer, at + HEADER_LENGTH, byPackets ? 1 : size);
      }
      at += size;
    }
    const most = byPackets ? this.#limits.queuePackets : this.#mostBytes(this.#packets);
    tally.share(most * (1 - HEADROOM));
    let at = from;
    let end = from; // of what stays
    let discos = 0;
    while (at < this.#tail && tally.excess > 0) {
      const packets = this.#packets - this.#keptDisco;
      if (!byPackets && packets <= GUARANTEED_PACKETS && this.#pools.pressure === 0) break;
      const length = payloadLength(buffer, at);
      const size = HEADER_LENGTH + length;
      const bytes = length - KEY_LENGTH;
      const packet = buffer[at] === FrameType.RecvPacket;
      const disco = packet && isDisco(buffer, at + PACKET_PREFIX, bytes);
      const stays = !packet || (disco && bytes <= DISCO_BYTES && discos++ < DISCO_PACKETS) ||
        !tally.drops(buffer, at + HEADER_LENGTH, byPackets ? 1 : size);
      if (stays) {
        buffer.copyWithin(end, at, at + size);
        end += size;
      } else {
        this.#packets -= 1;
        this.#drop(DropReason.QueueHead, disco, bytes);
      }
      at += size;
    }
    buffer.copyWithin(this.#head + at - end, this.#head, end);
    this.#head += at - end;
  }

  #drop(reason: DropReason, disco: boolean, bytes: number): void {
    this.dropped += 1;
    this.#counters.drop(reason, disco, bytes);
  }

  /** Counts the packets among whole frames as dropped. */
  #count(buffer: Uint8Array, start: number, end: number, reason: DropReason): void {
    for (let at = start; at < end;) {
      const length = payloadLength(buffer, at);
      if (buffer[at] === FrameType.RecvPacket) {
        const bytes = length - KEY_LENGTH;
        this.#drop(reason, isDisco(buffer, at + PACKET_PREFIX, bytes), bytes);
      }
      at += HEADER_LENGTH + length;
    }
  }
}
