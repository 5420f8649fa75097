/**
 * The bytes of a connection while it speaks HTTP: one small buffer, which grows with a head that
 * needs it.
 */
import { MAX_HEAD, SMALL_READ, type Socket } from "../../server/mod.ts";
import { ChunkedSkip } from "./chunked.ts";
import { type Framing, headEnd, HeadError, parseHead, type RequestHead } from "./head.ts";

/** A body that nobody wants is read up to this, so that the connection can be kept. */
const MAX_SKIPPED = 256 * 1024;

export class RequestInput {
  readonly #conn: Socket;
  #buffer = new Uint8Array(SMALL_READ);
  #start = 0;
  #end = 0;

  constructor(conn: Socket) {
    this.#conn = conn;
  }

  /**
   * The next request's head; undefined when the stream ends before it is whole.
   *
   * @throws HeadError when it is too long or malformed; any error of the connection
   */
  async head(): Promise<RequestHead | undefined> {
    for (let searched = this.#start;;) {
      const found = headEnd(this.#buffer, this.#start, this.#end, searched);
      if (found !== undefined) {
        const bytes = this.#buffer.subarray(this.#start, found);
        this.#start = found;
        return parseHead(bytes);
      }
      searched = this.#end - this.#start;
      if (searched >= MAX_HEAD) throw new HeadError(431, "head too long");
      if (!await this.#more()) return undefined;
    }
  }

  /** What has come behind the last head. */
  rest(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** Reads past a body. False when its end was not found: then nothing more can be read. */
  async skip(framing: Framing): Promise<boolean> {
    if (framing.kind === "none") return true;
    const chunked = framing.kind === "chunked" ? new ChunkedSkip() : undefined;
    let left = framing.kind === "length" ? framing.length : Infinity;
    if (framing.kind === "length" && left > MAX_SKIPPED) return false;
    for (let skipped = 0;;) {
      const before = this.#start;
      if (chunked !== undefined) this.#start = chunked.push(this.#buffer, this.#start, this.#end);
      else this.#start = Math.min(this.#end, this.#start + left);
      left -= this.#start - before;
      skipped += this.#start - before;
      if (left === 0 || chunked?.done) return true;
      if (chunked?.bad || skipped > MAX_SKIPPED || !await this.#more()) return false;
    }
  }

  /** Reads some more, with what is left moved to the front. False at the end of the stream. */
  async #more(): Promise<boolean> {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#end === this.#buffer.length) {
      const grown = new Uint8Array(Math.min(MAX_HEAD, 2 * this.#end));
      grown.set(this.#buffer);
      this.#buffer = grown;
    }
    const n = await this.#conn.read(this.#buffer.subarray(this.#end));
    if (n === null) return false;
    this.#end += n;
    return true;
  }
}
