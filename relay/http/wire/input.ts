/**
 * The bytes of a connection while it speaks HTTP: one small buffer, which grows with a head that
 * needs it.
 */
import { MAX_HEAD, SMALL_READ, type Socket } from "../../server/mod.ts";
import { headEnd, HeadError, parseHead, type RequestHead } from "./head.ts";

export class RequestInput {
  readonly #conn: Socket;
  #buffer = new Uint8Array(SMALL_READ);
  #start = 0;
  #end = 0;
  #reading: Promise<boolean> | undefined;

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

  /** Bytes at hand, at least one; undefined when the stream ends first. */
  async some(): Promise<Uint8Array | undefined> {
    while (this.#start === this.#end) if (!await this.#more()) return undefined;
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** The first `count` of the bytes at hand have been used. */
  consume(count: number): void {
    this.#start += count;
  }

  /**
   * Resolves when the stream ends while nothing is expected of it. What comes instead is kept, and
   * then this never resolves.
   */
  async ended(): Promise<void> {
    const more = this.#start !== this.#end || await this.#more().catch(() => false);
    if (more) await new Promise(() => {});
  }

  /** Reads some more, for whoever waits for it. False at the end of the stream. */
  #more(): Promise<boolean> {
    return this.#reading ??= this.#read().finally(() => this.#reading = undefined);
  }

  /** With what is left moved to the front. */
  async #read(): Promise<boolean> {
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
