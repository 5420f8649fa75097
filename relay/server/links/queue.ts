/**
 * What waits to be written to another relay or worker: pieces of borrowed buffers, written one
 * after the other. A frame never spans two. While a piece is being written, the next gather.
 *
 * Bounded in bytes; what does not fit is dropped, the newest first: a link carries the packets of
 * many, and taking the oldest out would cost each of them more than it helps.
 */
import type { Pools } from "../buffers/mod.ts";

/** A full piece. Holds the largest frame, and makes a write worth its call. */
const PIECE = 128 * 1024;

interface Piece {
  buffer: Uint8Array;
  end: number;
  packets: number;
}

export class LinkQueue {
  readonly #pools: Pools;
  readonly #most: number;
  readonly #pieces: Piece[] = [];
  #writing: Piece | undefined;
  #bytes = 0;
  /** Bytes of the last burst: a guess of what the next one needs. */
  #burst = 0;
  /** Where the frame of the last {@link reserve} begins. */
  reserved = 0;

  /** @param most bytes that may wait */
  constructor(pools: Pools, most: number) {
    this.#pools = pools;
    this.#most = most;
  }

  /** Bytes waiting, without those being written. */
  get bytes(): number {
    return this.#bytes;
  }

  get writing(): boolean {
    return this.#writing !== undefined;
  }

  /**
   * Makes room for a frame of `length` bytes that carries so many packets: the buffer to write it
   * to, at {@link reserved}. Undefined when too much waits.
   */
  reserve(length: number, packets: number): Uint8Array | undefined {
    if (this.#bytes + length > this.#most) return undefined;
    let piece = this.#pieces.at(-1);
    if (piece === undefined || piece.end + length > piece.buffer.length) {
      const wanted = piece === undefined ? Math.min(PIECE, this.#burst) : PIECE;
      const size = Math.max(length, wanted);
      const buffer = this.#pools.takeQueue(size) ?? new Uint8Array(size);
      piece = { buffer, end: 0, packets: 0 };
      this.#pieces.push(piece);
    }
    this.reserved = piece.end;
    piece.end += length;
    piece.packets += packets;
    this.#bytes += length;
    return piece.buffer;
  }

  /** The next piece to write; undefined when nothing waits or a write is under way. */
  beginWrite(): Uint8Array | undefined {
    if (this.#writing !== undefined) return undefined;
    const piece = this.#pieces.shift();
    if (piece === undefined) return undefined;
    this.#burst = this.#bytes;
    this.#bytes -= piece.end;
    this.#writing = piece;
    return piece.buffer.subarray(0, piece.end);
  }

  /** Ends the write. Returns how many packets were in the piece. */
  endWrite(): number {
    const piece = this.#writing;
    if (piece === undefined) return 0;
    this.#writing = undefined;
    this.#pools.giveQueue(piece.buffer);
    return piece.packets;
  }

  /** Forgets all that waits. Returns how many packets that were. */
  clear(): number {
    let packets = 0;
    for (const piece of this.#pieces.splice(0)) {
      packets += piece.packets;
      this.#pools.giveQueue(piece.buffer);
    }
    this.#bytes = 0;
    return packets;
  }
}
