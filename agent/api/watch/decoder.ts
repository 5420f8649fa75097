/**
 * The watch stream's framing: JSON objects one after the other, with any white space between them.
 *
 * The decoder looks at single bytes only to find where an object ends (depth and string state), so
 * the network may split the stream anywhere, also inside a character.
 *
 * @module
 */
import { AgentError } from "../../errors.ts";

/** The stream is not a sequence of JSON objects, or one of them is too large. */
export class DecodeError extends AgentError {
  override name = "DecodeError";
}

/** Largest object taken from a stream, bytes. A device is about 1 KiB. */
const MAX_OBJECT = 1 << 20;
/** Deepest nesting of an object: wire types need four, metadata values are free. */
const MAX_DEPTH = 64;

const QUOTE = 0x22,
  BACKSLASH = 0x5c,
  OPEN = 0x7b,
  CLOSE = 0x7d,
  OPEN_LIST = 0x5b,
  CLOSE_LIST = 0x5d;

/** True for the white space of RFC 8259. */
export function isJsonSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Splits a byte stream into JSON objects. After an error the decoder is of no further use. */
export class JsonObjectDecoder {
  #held = new Uint8Array(4096);
  #length = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  readonly #limit: number;
  readonly #text = new TextDecoder("utf-8", { fatal: true });

  /** @param limit largest object in bytes */
  constructor(limit = MAX_OBJECT) {
    this.#limit = limit;
  }

  /** Takes the next bytes and returns the objects that they complete. Throws {@link DecodeError}. */
  push(chunk: Uint8Array): Record<string, unknown>[] {
    const done: Record<string, unknown>[] = [];
    let start = this.#depth > 0 ? 0 : -1;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!;
      if (this.#depth === 0) {
        if (isJsonSpace(byte)) continue;
        if (byte !== OPEN) {
          throw new DecodeError(
            `Cannot read the stream: byte 0x${byte.toString(16)} where an object should begin`,
          );
        }
        start = i;
        this.#depth = 1;
      } else if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inString = false;
      } else if (byte === QUOTE) {
        this.#inString = true;
      } else if (byte === OPEN || byte === OPEN_LIST) {
        if (++this.#depth > MAX_DEPTH) {
          throw new DecodeError(`Cannot read the stream: nested deeper than ${MAX_DEPTH} levels`);
        }
      } else if (byte === CLOSE || byte === CLOSE_LIST) {
        if (--this.#depth === 0) {
          this.#hold(chunk.subarray(start, i + 1));
          done.push(this.#take());
          start = -1;
        }
      }
    }
    if (start >= 0) this.#hold(chunk.subarray(start));
    return done;
  }

  #hold(part: Uint8Array): void {
    const length = this.#length + part.length;
    if (length > this.#limit) {
      throw new DecodeError(
        `Cannot read the stream: an object is larger than ${this.#limit} bytes`,
      );
    }
    if (length > this.#held.length) {
      const larger = new Uint8Array(Math.min(this.#limit, Math.max(length, this.#held.length * 2)));
      larger.set(this.#held.subarray(0, this.#length));
      this.#held = larger;
    }
    this.#held.set(part, this.#length);
    this.#length = length;
  }

  #take(): Record<string, unknown> {
    const bytes = this.#held.subarray(0, this.#length);
    this.#length = 0;
    try {
      return JSON.parse(this.#text.decode(bytes));
    } catch (error) {
      throw new DecodeError("Cannot read the stream: an object is not valid JSON", {
        cause: error,
      });
    }
  }
}
