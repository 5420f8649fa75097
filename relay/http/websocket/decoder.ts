/**
 * Reads a client's WebSocket frames (RFC 6455 section 5) out of a byte stream, in place.
 *
 * What binary messages carry is one stream of bytes; where the messages begin and end means
 * nothing. So a decoder only takes frame headers away and undoes the masking: what is left is
 * never longer than what came, and stands at the front of the very buffer that it came in.
 */

/** Frame types (RFC 6455 section 11.8). */
export const Opcode = {
  Continuation: 0,
  Text: 1,
  Binary: 2,
  Close: 8,
  Ping: 9,
  Pong: 10,
} as const;

/** Why a connection is closed (RFC 6455 section 7.4.1). */
export const CloseCode = {
  Normal: 1000,
  ProtocolError: 1002,
  UnsupportedData: 1003,
  PolicyViolation: 1008,
  MessageTooBig: 1009,
} as const;

/** Payload bytes of one message, all its fragments together: what the reference relay takes. */
export const MAX_MESSAGE = 32 * 1024;

/** Payload bytes of a control frame (RFC 6455 section 5.5). */
export const MAX_CONTROL = 125;

const FIN = 0x80;
const MASKED = 0x80;

/** What the next byte belongs to. */
const Part = { First: 0, Second: 1, Length: 2, Mask: 3, Payload: 4 } as const;

export class FrameDecoder {
  /** The code to close with, once the client has broken the protocol; 0 before. */
  failure = 0;
  /** The client has sent its close frame: nothing more comes. */
  closed = false;
  /** The code that the client's close frame gave; 0 when it gave none. */
  closeCode = 0;
  /** Payload of the last ping that has not been answered. Set it to undefined when it is. */
  ping: Uint8Array | undefined;

  #part: typeof Part[keyof typeof Part] = Part.First;
  #opcode = 0;
  #fin = false;
  /** Bytes still to come of the length or of the mask. */
  #missing = 0;
  /** Payload bytes of this frame still to come. */
  #left = 0;
  /** The mask, its byte for the next payload byte lowest. */
  #mask = 0;
  /** A binary message has begun and not ended. */
  #fragmented = false;
  /** Payload bytes of this message so far. */
  #message = 0;
  /** Payload of the control frame that is coming. */
  #control: Uint8Array | undefined;
  #controlLength = 0;

  /** Nothing more is read after this: the client has closed or broken the protocol. */
  get over(): boolean {
    return this.closed || this.failure !== 0;
  }

  /**
   * Takes `bytes[0..end)`, the next bytes of the stream. The stream bytes in them stand at
   * `bytes[0..n)` afterwards, where n is what is returned.
   */
  decode(bytes: Uint8Array, end: number): number {
    let out = 0;
    for (let at = 0; at < end && !this.over;) {
      if (this.#part !== Part.Payload) {
        this.#header(bytes[at++]!);
        continue;
      }
      const n = Math.min(this.#left, end - at);
      if (this.#opcode >= Opcode.Close) {
        this.#control ??= new Uint8Array(MAX_CONTROL);
        unmask(bytes, at, this.#control, this.#controlLength, n, this.#mask);
        this.#controlLength += n;
      } else {
        unmask(bytes, at, bytes, out, n, this.#mask);
        out += n;
      }
      this.#mask = rotate(this.#mask, n);
      at += n;
      this.#left -= n;
      if (this.#left === 0) this.#frameEnd();
    }
    return out;
  }

  #header(byte: number): void {
    switch (this.#part) {
      case Part.First:
        return this.#first(byte);
      case Part.Second:
        return this.#second(byte);
      case Part.Length:
        this.#left = this.#left * 256 + byte;
        if (--this.#missing === 0) this.#lengthKnown();
        return;
      case Part.Mask:
        // The first byte of the mask ends up lowest.
        this.#mask = this.#mask >>> 8 | byte << 24;
        if (--this.#missing > 0) return;
        this.#part = Part.Payload;
        if (this.#left === 0) this.#frameEnd();
    }
  }

  #first(byte: number): void {
    const opcode = byte & 0x0f;
    this.#fin = (byte & FIN) !== 0;
    // Reserved bits belong to extensions, and none was agreed on.
    if ((byte & 0x70) !== 0) return this.#fail(CloseCode.ProtocolError);
    switch (opcode) {
      case Opcode.Continuation:
        if (!this.#fragmented) return this.#fail(CloseCode.ProtocolError);
        break;
      case Opcode.Text:
      case Opcode.Binary:
        if (this.#fragmented) return this.#fail(CloseCode.ProtocolError);
        if (opcode === Opcode.Text) return this.#fail(CloseCode.UnsupportedData);
        this.#message = 0;
        break;
      case Opcode.Close:
      case Opcode.Ping:
      case Opcode.Pong:
        if (!this.#fin) return this.#fail(CloseCode.ProtocolError);
        this.#controlLength = 0;
        break;
      default:
        return this.#fail(CloseCode.ProtocolError);
    }
    this.#opcode = opcode;
    this.#part = Part.Second;
  }

  #second(byte: number): void {
    if ((byte & MASKED) === 0) return this.#fail(CloseCode.ProtocolError);
    this.#left = byte & 0x7f;
    if (this.#left <= MAX_CONTROL) return this.#lengthKnown();
    if (this.#opcode >= Opcode.Close) return this.#fail(CloseCode.ProtocolError);
    this.#missing = this.#left === 126 ? 2 : 8;
    this.#left = 0;
    this.#part = Part.Length;
  }

  #lengthKnown(): void {
    if (this.#opcode < Opcode.Close) {
      this.#message += this.#left;
      if (this.#message > MAX_MESSAGE) return this.#fail(CloseCode.MessageTooBig);
    }
    this.#missing = 4;
    this.#mask = 0;
    this.#part = Part.Mask;
  }

  #frameEnd(): void {
    this.#part = Part.First;
    if (this.#opcode < Opcode.Close) {
      this.#fragmented = !this.#fin;
      return;
    }
    const length = this.#controlLength;
    if (this.#opcode === Opcode.Ping) {
      // Only the latest needs an answer (RFC 6455 section 5.5.3), so a flood of them holds one.
      this.ping = this.#control?.slice(0, length) ?? new Uint8Array(0);
    } else if (this.#opcode === Opcode.Close) {
      if (length === 1) return this.#fail(CloseCode.ProtocolError);
      const code = length === 0 ? 0 : this.#control![0]! << 8 | this.#control![1]!;
      if (code !== 0 && !mayBeSent(code)) return this.#fail(CloseCode.ProtocolError);
      this.closeCode = code;
      this.closed = true;
    }
    this.#control = undefined;
  }

  #fail(code: number): void {
    this.failure = code;
    this.#control = undefined;
  }
}

/** Whether a close frame may give this code (RFC 6455 section 7.4). */
function mayBeSent(code: number): boolean {
  if (code >= 3000) return code < 5000;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}

function rotate(mask: number, bytes: number): number {
  const bits = (bytes & 3) * 8;
  return bits === 0 ? mask : mask >>> bits | mask << (32 - bits);
}

/** From this many bytes on, looking at them as words is worth its set-up. */
const WORDS_FROM = 64;

/** Copies `n` bytes and undoes the mask on the way; within one buffer only towards the front. */
function unmask(
  from: Uint8Array,
  at: number,
  to: Uint8Array,
  start: number,
  n: number,
  mask: number,
): void {
  let i = 0;
  if (n >= WORDS_FROM) {
    if (from === to) to.copyWithin(start, at, at + n);
    else to.set(from.subarray(at, at + n), start);
    const lead = -(to.byteOffset + start) & 3;
    for (; i < lead; i++) to[start + i]! ^= mask >>> 8 * i;
    const words = new Int32Array(to.buffer, to.byteOffset + start + lead, n - lead >> 2);
    const turned = rotate(mask, lead);
    for (let w = 0; w < words.length; w++) words[w]! ^= turned;
    for (i = lead + 4 * words.length; i < n; i++) to[start + i]! ^= mask >>> 8 * (i & 3);
    return;
  }
  for (; i < n; i++) to[start + i] = from[at + i]! ^ mask >>> 8 * (i & 3);
}
