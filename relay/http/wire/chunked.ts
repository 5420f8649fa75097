/**
 * A chunked body (RFC 9112 section 7.1): where it ends, and the data in it.
 */

const CR = 13;
const LF = 10;
const SEMICOLON = 59;

/** Bytes of one chunk's size line, and of all trailers. */
const MAX_LINE = 256;
const MAX_TRAILERS = 4096;
const MAX_SIZE_DIGITS = 8;

const Part = { Size: 0, Extension: 1, SizeEnd: 2, Data: 3, DataCr: 4, DataLf: 5, Trailer: 6 };

export class ChunkedBody {
  /** The body has ended. */
  done = false;
  /** The body is malformed: nobody knows where it ends. */
  bad = false;

  readonly #onData: (bytes: Uint8Array) => void;
  #part = Part.Size;
  #digits = 0;
  #left = 0;
  #line = 0;
  #trailers = 0;
  #afterCr = false;

  /** @param onData takes the data, as views of what is pushed */
  constructor(onData: (bytes: Uint8Array) => void = () => {}) {
    this.#onData = onData;
  }

  /** Takes bytes of the body; returns the offset behind the last one that belongs to it. */
  push(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && !this.done && !this.bad) {
      if (this.#part === Part.Data) {
        const n = Math.min(this.#left, end - at);
        this.#onData(bytes.subarray(at, at + n));
        at += n;
        this.#left -= n;
        if (this.#left === 0) this.#part = Part.DataCr;
      } else this.#byte(bytes[at++]!);
    }
    return at;
  }

  #byte(byte: number): void {
    switch (this.#part) {
      case Part.Size:
        return this.#size(byte);
      case Part.Extension:
        if (byte === CR) this.#part = Part.SizeEnd;
        else if (byte === LF || ++this.#line > MAX_LINE) this.bad = true;
        return;
      case Part.SizeEnd:
        if (byte !== LF) this.bad = true;
        else this.#part = this.#left === 0 ? Part.Trailer : Part.Data;
        this.#line = 0;
        return;
      case Part.DataCr:
        if (byte !== CR) this.bad = true;
        this.#part = Part.DataLf;
        return;
      case Part.DataLf:
        if (byte !== LF) this.bad = true;
        this.#part = Part.Size;
        this.#digits = this.#left = 0;
        return;
      default:
        return this.#trailer(byte);
    }
  }

  #size(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.#left = this.#left * 16 + digit;
      if (++this.#digits > MAX_SIZE_DIGITS) this.bad = true;
    } else if (this.#digits === 0) this.bad = true;
    else if (byte === SEMICOLON) this.#part = Part.Extension;
    else if (byte === CR) this.#part = Part.SizeEnd;
    else this.bad = true;
  }

  /** Lines up to an empty one. */
  #trailer(byte: number): void {
    if (++this.#trailers > MAX_TRAILERS) this.bad = true;
    else if (this.#afterCr) {
      this.#afterCr = false;
      if (byte !== LF) this.bad = true;
      else if (this.#line === 0) this.done = true;
      this.#line = 0;
    } else if (byte === CR) this.#afterCr = true;
    else if (byte === LF) this.bad = true;
    else this.#line += 1;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 0x20;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
