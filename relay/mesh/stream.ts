/**
 * Frames from a stream, and bytes to it, one after the other.
 */
import { type Frame, FrameReader, MAX_FRAME } from "../derp/mod.ts";

/** What is needed of a transport. */
export interface Stream {
  read(buffer: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** Writes all of `bytes`. */
export async function writeAll(stream: Stream, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await stream.write(bytes.subarray(at));
}

/** Closes a stream that may be closed already. */
export function tryClose(stream: { close(): void } | undefined): void {
  try {
    stream?.close();
  } catch {
    // Closed before.
  }
}

/** Reads the frames of a stream. */
export class FrameStream {
  /** When bytes came last, in milliseconds of `performance.now()`. */
  heardAt = performance.now();
  readonly #stream: Stream;
  readonly #frames = new FrameReader(MAX_FRAME);
  readonly #buffer = new Uint8Array(32 * 1024);

  /** @param initial bytes that were read before */
  constructor(stream: Stream, initial: Uint8Array = new Uint8Array(0)) {
    this.#stream = stream;
    this.#frames.push(initial);
  }

  /** A whole frame that has been read already; undefined when there is none. */
  waiting(): Frame | undefined {
    return this.#frames.next();
  }

  /** Reads some more. False at the end of the stream. */
  async more(): Promise<boolean> {
    const n = await this.#stream.read(this.#buffer);
    if (n === null) return false;
    this.heardAt = performance.now();
    this.#frames.push(this.#buffer.subarray(0, n));
    return true;
  }

  /** The next frame; undefined at the end of the stream. */
  async next(): Promise<Frame | undefined> {
    for (;;) {
      const frame = this.waiting();
      if (frame !== undefined) return frame;
      if (!await this.more()) return undefined;
    }
  }
}
