/**
 * Outgoing DERP frames, laid out one behind the other as they go on the wire.
 *
 * A packet is copied once, into the queue; the connection writes whole stretches of it. When the
 * queue is full the oldest packet goes: for WireGuard a late packet is worth less than a new one.
 * The bytes are used as a ring, broken only between frames. Adding allocates nothing.
 */
import { FrameType, HEADER_LENGTH, KEY_LENGTH, payloadLength } from "../../relay/derp/mod.ts";

/** Bytes in front of the packet in a SendPacket frame. */
export const FRAME_OVERHEAD = HEADER_LENGTH + KEY_LENGTH;

/** A packet handed in may be a view this much longer than the packet; see {@linkcode SendQueue}. */
export const VIEW_SLACK = 64;

/** A bounded queue of SendPacket frames. */
export class SendQueue {
  readonly #bytes: Uint8Array;
  readonly #capacity: number;
  /** When each frame came, as given to {@linkcode push}: a ring beside the frames. */
  readonly #times: Float64Array;
  #firstTime = 0;
  #head = 0;
  #tail = 0;
  /** Where the frames end that lie before the ring's break; 0 when there is no break. */
  #break = 0;
  #packets = 0;

  /**
   * @param capacity bytes, framing included
   * @param maxPackets frames
   */
  constructor(capacity: number, maxPackets: number) {
    this.#capacity = capacity;
    this.#bytes = new Uint8Array(capacity + VIEW_SLACK);
    this.#times = new Float64Array(maxPackets);
  }

  /** Number of frames waiting. */
  get packets(): number {
    return this.#packets;
  }

  /** Bytes waiting, framing included. */
  get bytes(): number {
    return this.#tail - this.#head + this.#break;
  }

  /**
   * Adds a packet; returns how many old ones had to go for it, or -1 when it can never fit.
   *
   * `data` starts with the packet and may be up to {@linkcode VIEW_SLACK} - 1 bytes longer than
   * `length`, so that a reader of packets can keep a few views ready instead of making one for
   * each length.
   *
   * @param key the destination, 32 bytes
   * @param now any clock in milliseconds, for {@linkcode dropOlder}
   * @param limit frames to keep at most, if fewer than the queue can hold
   */
  push(
    key: Uint8Array,
    data: Uint8Array,
    length: number,
    now: number,
    limit: number = this.#times.length,
  ): number {
    const need = FRAME_OVERHEAD + length;
    if (need > this.#capacity) return -1;
    let dropped = 0;
    while (this.#packets >= limit) {
      this.#dropOldest();
      dropped++;
    }
    while (!this.#makeRoom(need)) {
      this.#dropOldest();
      dropped++;
    }
    const bytes = this.#bytes;
    let at = this.#tail;
    const payload = KEY_LENGTH + length;
    bytes[at] = FrameType.SendPacket;
    bytes[at + 1] = payload >>> 24;
    bytes[at + 2] = payload >>> 16;
    bytes[at + 3] = payload >>> 8;
    bytes[at + 4] = payload;
    bytes.set(key, at + HEADER_LENGTH);
    at += FRAME_OVERHEAD;
    bytes.set(data, at);
    this.#tail = at + length;
    const times = this.#times;
    let slot = this.#firstTime + this.#packets;
    if (slot >= times.length) slot -= times.length;
    times[slot] = now;
    this.#packets++;
    return dropped;
  }

  /** Moves the tail to where `need` bytes are free, if there is such a place. */
  #makeRoom(need: number): boolean {
    if (this.#packets === 0) {
      this.#head = this.#tail = this.#break = 0;
      return true;
    }
    if (this.#break !== 0) return this.#tail + need + VIEW_SLACK <= this.#head;
    if (this.#tail + need <= this.#capacity) return true;
    if (need + VIEW_SLACK > this.#head) return false;
    this.#break = this.#tail;
    this.#tail = 0;
    return true;
  }

  #dropOldest(): void {
    this.#head += HEADER_LENGTH + payloadLength(this.#bytes, this.#head);
    if (this.#head === this.#break) this.#head = this.#break = 0;
    this.#packets--;
    if (++this.#firstTime === this.#times.length) this.#firstTime = 0;
  }

  /** Drops the frames that came before `time`; returns how many. */
  dropOlder(time: number): number {
    let dropped = 0;
    while (this.#packets > 0 && this.#times[this.#firstTime]! < time) {
      this.#dropOldest();
      dropped++;
    }
    return dropped;
  }

  /** Drops the oldest frames until `keep` are left; returns how many went. */
  trim(keep: number): number {
    let dropped = 0;
    while (this.#packets > keep) {
      this.#dropOldest();
      dropped++;
    }
    return dropped;
  }

  /** The frames in order, as one or two views of the queue's own memory: write them, then clear. */
  *segments(): Generator<Uint8Array> {
    if (this.#packets === 0) return;
    yield this.#bytes.subarray(this.#head, this.#break === 0 ? this.#tail : this.#break);
    if (this.#break !== 0) yield this.#bytes.subarray(0, this.#tail);
  }

  /** Empties the queue. */
  clear(): void {
    this.#head = this.#tail = this.#break = 0;
    this.#packets = 0;
  }
}
