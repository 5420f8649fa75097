/**
 * Buffers that are lent for a burst and come back: most connections of a relay are idle, and an
 * idle one must not hold memory for traffic it does not have.
 *
 * All of them are parts of one array, the slab. Bytes move from one to another by a copy within
 * that array, which makes no view of what moves; a view for each run of packets would be the one
 * thing that the packet path allocates. The system backs a page of the slab when it is first
 * written, and buffers in use are used again first, so an idle relay pays for few of them.
 */
import { HEADER_LENGTH, KEY_LENGTH, MAX_PACKET } from "../../derp/mod.ts";
import { BUSY_READ, IDLE_READ, type Limits, SMALL_READ } from "../limits.ts";

/** Packets that wait whatever their size: what the reference relay holds, and its prober expects. */
export const GUARANTEED_PACKETS = 32;

/** Disco packets that wait beside all others. */
export const DISCO_PACKETS = 32;

const LARGEST_FRAME = HEADER_LENGTH + KEY_LENGTH + MAX_PACKET;

/** A stack of equal-sized buffers. Contents are whatever the last user left. */
export class BufferPool {
  readonly #region: Uint8Array;
  // Counted by hand: an array that is popped empty gives its memory up, to take it anew at once.
  readonly #free: Uint8Array[] = [];
  #freeCount = 0;
  #carved = 0;

  /**
   * @param size bytes of each buffer
   * @param region what the buffers are parts of; more than fit are left to the garbage collector
   */
  constructor(readonly size: number, region: Uint8Array) {
    this.#region = region;
  }

  take(): Uint8Array {
    if (this.#freeCount > 0) return this.#free[--this.#freeCount]!;
    const end = this.#carved + this.size;
    if (end > this.#region.length) return new Uint8Array(this.size);
    const buffer = this.#region.subarray(this.#carved, end);
    this.#carved = end;
    return buffer;
  }

  /** Returns a buffer of this pool. The caller must not touch it afterwards. */
  give(buffer: Uint8Array): void {
    if (buffer.buffer === this.#region.buffer) this.#free[this.#freeCount++] = buffer;
  }

  /** Buffers at rest now. */
  get free(): number {
    return this.#freeCount;
  }
}

/** Tiny buffers, many of them for as long as their connections: parts of arrays of their own. */
export class TinyPool {
  readonly #free: Uint8Array[] = [];
  #rest = new Uint8Array(0);

  /** @param size bytes of each buffer */
  constructor(readonly size: number) {}

  take(): Uint8Array {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#rest.length === 0) this.#rest = new Uint8Array(TINY_AT_ONCE * this.size);
    const buffer = this.#rest.subarray(0, this.size);
    this.#rest = this.#rest.subarray(this.size);
    return buffer;
  }

  /** Returns a buffer of this pool. The caller must not touch it afterwards. */
  give(buffer: Uint8Array): void {
    this.#free.push(buffer);
  }
}

/** How many tiny buffers one array holds. */
const TINY_AT_ONCE = 128;

/**
 * Memory of all queues from which on none may hold large packets beyond its bytes, and from which
 * on each may hold little.
 */
const TIGHT = 64 * 1024 * 1024;
const SCARCE = 256 * 1024 * 1024;

/** The buffers that the connections of one relay borrow. */
export class Pools {
  /** For reads of silent connections. */
  readonly idleRead = new TinyPool(IDLE_READ);
  /** For reads: a packet at a time, and whole TLS records. */
  readonly smallRead: BufferPool;
  readonly busyRead: BufferPool;
  /** For queues: a lone packet's, a batch's, a full queue's. */
  readonly queues: readonly BufferPool[];
  readonly #slab: Uint8Array;
  #lent = 0;

  constructor(limits: Limits) {
    // A full queue needs room for one more run of frames, and some slack so that moving what is
    // left to the front happens once in many packets rather than for each.
    const beside = limits.controlBytes + DISCO_PACKETS * SMALL_READ + 2 * BUSY_READ;
    const most = limits.queueBytes + beside;
    const guaranteed = GUARANTEED_PACKETS * LARGEST_FRAME + beside;
    const sizes: [bytes: number, count: number][] = [
      [SMALL_READ, 1024],
      [BUSY_READ, 64],
      [4 * 1024, 256],
      [32 * 1024, 64],
      [128 * 1024, 16],
      [most, 8],
    ];
    if (guaranteed > most) sizes.push([guaranteed, 2]);
    this.#slab = new Uint8Array(sizes.reduce((sum, [bytes, count]) => sum + bytes * count, 0));
    let at = 0;
    const [small, busy, ...queues] = sizes.map(([bytes, count]) =>
      new BufferPool(bytes, this.#slab.subarray(at, at += bytes * count))
    );
    this.smallRead = small!;
    this.busyRead = busy!;
    this.queues = queues;
  }

  /** How short memory for queues is: 0 not, 1 tight, 2 scarce. */
  get pressure(): 0 | 1 | 2 {
    return this.#lent < TIGHT ? 0 : this.#lent < SCARCE ? 1 : 2;
  }

  /** A queue's buffer of at least so many bytes; undefined when none is that large. */
  takeQueue(bytes: number): Uint8Array | undefined {
    const { queues } = this;
    for (let i = 0; i < queues.length; i++) {
      const { size } = queues[i]!;
      if (bytes > size) continue;
      this.#lent += size;
      return queues[i]!.take();
    }
    return undefined;
  }

  giveQueue(buffer: Uint8Array): void {
    this.#lent -= buffer.length;
    const { queues } = this;
    for (let i = 0; i < queues.length; i++) {
      if (queues[i]!.size === buffer.length) return queues[i]!.give(buffer);
    }
  }

  /** Copies `source[start..end)` to `target[at..]`. Nothing is allocated when both are pooled. */
  copy(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void {
    const slab = this.#slab;
    if (source.buffer === slab.buffer && target.buffer === slab.buffer) {
      slab.copyWithin(target.byteOffset + at, source.byteOffset + start, source.byteOffset + end);
    } else target.set(source.subarray(start, end), at);
  }
}
