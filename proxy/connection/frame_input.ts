/**
 * Reading frames in place: one buffer, filled by the connection, walked without copying.
 *
 * Packets are handed on by position in the buffer and stay there until the next read, so that they
 * can be sent from there in batches. Other frames are views that are gone when the call returns. A
 * frame that is of no use, or too long to be, is skipped without being held.
 */
import {
  DerpError,
  FrameType,
  HEADER_LENGTH,
  KEY_LENGTH,
  MAX_FRAME,
  MAX_PACKET,
  payloadLength,
} from "../../relay/derp/mod.ts";

/** Longer than the longest frame that is kept, by a few reads. */
const BUFFER = 256 * 1024;

/** Longest payload that is kept: a RecvPacket with the largest packet. */
const MAX_KEPT = KEY_LENGTH + MAX_PACKET;

/** The room a read has at least. A TLS record fits; a plain connection reads more at once. */
const MIN_SPACE = 64 * 1024;

/** A rest up to this is moved to the front, where the memory is warm; a longer one stays. */
const SMALL_REST = 4096;

/** Longest HTTP head that is read. */
const MAX_HEAD = 16 * 1024;

/** What is done with frames. Called synchronously. */
export interface FrameHandler {
  /** RecvPacket: the source's key at `key`, the packet at `offset`. */
  packet(buf: Uint8Array, key: number, offset: number, length: number): void;
  /** Any other known frame. May throw to end the connection. */
  frame(type: number, payload: Uint8Array): void;
}

/** See the top of the file. */
export class FrameInput {
  readonly #handler: FrameHandler;
  readonly #bytes = new Uint8Array(new ArrayBuffer(BUFFER));
  #start = 0;
  #end = 0;
  #skip = 0;
  /** RecvPacket frames that no relay may send: without a whole key, or longer than a packet. */
  malformed = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** Where the next read goes. Positions handed out before are no longer good. */
  space(): Uint8Array<ArrayBuffer> {
    this.#makeSpace();
    return this.#end === 0 ? this.#bytes : this.#bytes.subarray(this.#end);
  }

  /** Says that a read brought `count` bytes. */
  filled(count: number): void {
    this.#end += count;
  }

  /**
   * Takes an HTTP response head, up to and with its blank line; undefined while it is not whole.
   *
   * @throws DerpError when it is longer than 16 KiB
   */
  takeHead(): string | undefined {
    const bytes = this.#bytes;
    for (let i = this.#start + 3; i < this.#end; i++) {
      if (bytes[i] !== 10 || bytes[i - 1] !== 13 || bytes[i - 2] !== 10 || bytes[i - 3] !== 13) {
        continue;
      }
      const head = new TextDecoder("latin1").decode(bytes.subarray(this.#start, i + 1));
      this.#start = i + 1;
      return head;
    }
    if (this.#end - this.#start > MAX_HEAD) {
      throw new DerpError(`Cannot read the answer: its head is longer than ${MAX_HEAD} bytes`);
    }
    return undefined;
  }

  /**
   * Hands on every whole frame.
   *
   * @throws DerpError for a frame longer than the protocol allows; what the handler throws
   */
  walk(): void {
    const bytes = this.#bytes;
    while (true) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, this.#end - this.#start);
        this.#start += skipped;
        this.#skip -= skipped;
      }
      const at = this.#start;
      const available = this.#end - at;
      if (available < HEADER_LENGTH) break;
      const type = bytes[at]!;
      const length = payloadLength(bytes, at);
      if (length > MAX_KEPT || type > FrameType.Restarting) {
        if (length > MAX_FRAME) {
          throw new DerpError(`Cannot read frame: ${length} bytes, more than ${MAX_FRAME}`);
        }
        if (type === FrameType.RecvPacket) this.malformed++;
        this.#skip = HEADER_LENGTH + length;
        continue;
      }
      if (available < HEADER_LENGTH + length) break;
      this.#start = at + HEADER_LENGTH + length;
      if (type !== FrameType.RecvPacket) {
        this.#handler.frame(type, bytes.subarray(at + HEADER_LENGTH, this.#start));
      } else if (length < KEY_LENGTH) this.malformed++;
      else {
        const key = at + HEADER_LENGTH;
        this.#handler.packet(bytes, key, key + KEY_LENGTH, length - KEY_LENGTH);
      }
    }
  }

  #makeSpace(): void {
    const rest = this.#end - this.#start;
    if (rest > SMALL_REST && BUFFER - this.#end >= MIN_SPACE) return;
    if (rest > 0 && this.#start > 0) this.#bytes.copyWithin(0, this.#start, this.#end);
    this.#start = 0;
    this.#end = rest;
  }
}
