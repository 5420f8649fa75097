/**
 * A WebSocket connection as a plain stream of bytes: what the relay's core knows as a socket.
 *
 * It has no read buffer of its own: frames are decoded in the buffer that the reader brought. It
 * reads only when the reader asks and writes only when the writer does, so both feel the other
 * side's pace as they would on the bare connection. What may wait inside is one ping to answer.
 */
import type { Socket, Sweep } from "../../server/mod.ts";
import { CloseCode, FrameDecoder, MAX_MESSAGE, Opcode } from "./decoder.ts";

/** How long the client has to take a close frame and to end the stream. */
const CLOSE_MS = 1_000;

/** A server's frame header: not masked, so at most this for what is sent here. */
const MAX_HEADER = 4;

/** Messages up to this, with their header, are put together in a small buffer. */
const SMALL = 2048;

/** Buffers kept for the next message, of either size. */
const MAX_SPARE = 16;

const small: Uint8Array[] = [];
const large: Uint8Array[] = [];

function take(size: number): Uint8Array {
  if (size <= SMALL) return small.pop() ?? new Uint8Array(SMALL);
  return large.pop() ?? new Uint8Array(MAX_HEADER + MAX_MESSAGE);
}

function give(buffer: Uint8Array): void {
  const spare = buffer.length === SMALL ? small : large;
  if (spare.length < MAX_SPARE) spare.push(buffer);
}

/** Writes the header of an unfragmented frame to the front of `buffer`; returns its length. */
function putHeader(buffer: Uint8Array, opcode: number, length: number): number {
  buffer[0] = 0x80 | opcode;
  if (length < 126) {
    buffer[1] = length;
    return 2;
  }
  buffer[1] = 126;
  buffer[2] = length >>> 8;
  buffer[3] = length;
  return 4;
}

/** A control frame, whole. */
export function controlFrame(opcode: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(2 + payload.length);
  putHeader(frame, opcode, payload.length);
  frame.set(payload, 2);
  return frame;
}

/** A close frame, whole. */
export function closeFrame(code: number, reason = ""): Uint8Array {
  const text = new TextEncoder().encode(reason);
  const payload = new Uint8Array(2 + text.length);
  payload[0] = code >>> 8;
  payload[1] = code;
  payload.set(text, 2);
  return controlFrame(Opcode.Close, payload);
}

export class WebSocketTransport implements Socket {
  readonly #conn: Socket;
  readonly #sweep: Sweep;
  /** Bytes of the stream that came behind the request head. */
  #initial: Uint8Array | undefined;
  readonly #decoder = new FrameDecoder();
  /** Bytes that the message begun last still promises. */
  #promised = 0;
  #writing = false;
  /** A pong or a close frame on its way. */
  #control: Promise<void> | undefined;
  /** Our close frame has been sent, or cannot be any more. */
  #closing = false;
  #closed = false;

  /**
   * @param conn the connection, its handshake answered
   * @param initial what came behind the request head
   */
  constructor(conn: Socket, initial: Uint8Array, sweep: Sweep) {
    this.#conn = conn;
    this.#sweep = sweep;
    if (initial.length > 0) this.#initial = initial;
  }

  /** Reads some bytes of the stream; null when the client has closed or broken the protocol. */
  async read(buffer: Uint8Array): Promise<number | null> {
    const decoder = this.#decoder;
    while (!decoder.over) {
      const n = await this.#some(buffer);
      if (n === null) return null;
      const got = decoder.decode(buffer, n);
      if (decoder.ping !== undefined) this.#sendControl();
      if (got > 0) return got;
    }
    await this.#goodbye(buffer);
    return null;
  }

  #some(buffer: Uint8Array): Promise<number | null> | number {
    const initial = this.#initial;
    if (initial === undefined) return this.#conn.read(buffer);
    const n = Math.min(initial.length, buffer.length);
    buffer.set(initial.subarray(0, n));
    this.#initial = n < initial.length ? initial.subarray(n) : undefined;
    return n;
  }

  /** Writes some of `bytes`, as (part of) a binary message. */
  async write(bytes: Uint8Array): Promise<number> {
    // One at a time: the other one's frame must be whole before the next begins.
    while (this.#control !== undefined) await this.#control;
    if (this.#closing || this.#closed) throw new Deno.errors.BrokenPipe("WebSocket is closing");
    this.#writing = true;
    try {
      if (this.#promised === 0) return await this.#begin(bytes);
      const n = await this.#conn.write(bytes.subarray(0, this.#promised));
      this.#promised -= n;
      return n;
    } finally {
      this.#writing = false;
      this.#sendControl();
    }
  }

  /**
   * Begins a message, header and payload in one write. What the connection does not take of it at
   * once is left to the caller, who comes again with just those bytes: so a slow client's progress
   * is seen.
   */
  async #begin(bytes: Uint8Array): Promise<number> {
    const length = Math.min(bytes.length, MAX_MESSAGE);
    if (length === 0) return 0;
    const buffer = take(MAX_HEADER + length);
    try {
      const header = putHeader(buffer, Opcode.Binary, length);
      buffer.set(length === bytes.length ? bytes : bytes.subarray(0, length), header);
      this.#promised = length;
      let sent = 0;
      while (sent < header) {
        sent += await this.#conn.write(buffer.subarray(sent, header + length));
      }
      this.#promised -= sent - header;
      return sent - header;
    } finally {
      give(buffer);
    }
  }

  /** Between two messages a frame of another kind may go out. */
  get #between(): boolean {
    return !this.#writing && this.#promised === 0 && this.#control === undefined;
  }

  #sendControl(): void {
    const { ping } = this.#decoder;
    if (ping === undefined || !this.#between || this.#closing || this.#closed) return;
    this.#decoder.ping = undefined;
    this.#control = this.#writeAll(controlFrame(Opcode.Pong, ping)).then(() => {
      this.#control = undefined;
      this.#sendControl();
    });
  }

  /** Never rejects: whoever writes next meets the same failure. */
  async #writeAll(frame: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < frame.length;) at += await this.#conn.write(frame.subarray(at));
    } catch {
      // The connection has ended.
    }
  }

  /** Answers a close or a broken frame, and lets the client read the answer before the end. */
  async #goodbye(buffer: Uint8Array): Promise<void> {
    const { failure, closed, closeCode } = this.#decoder;
    const deadline = this.#sweep.deadline(CLOSE_MS, () => this.#conn.close());
    try {
      while (this.#control !== undefined) await this.#control;
      const between = this.#between && !this.#closing;
      this.#closing = true;
      if (!between) return;
      await this.#writeAll(closeFrame(closed ? closeCode || CloseCode.Normal : failure));
      // Closing with bytes unread would be a reset, which may overtake the close frame.
      while (!closed && await this.#conn.read(buffer) !== null);
    } catch {
      // The stream has ended, or the time was up.
    } finally {
      deadline.end();
    }
  }

  /** Ends the connection; a close frame goes first when nothing stands in its way. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#closing || !this.#between) return this.#conn.close();
    this.#closing = true;
    // The frame leaves with this call or not at all: nothing waits for a client that takes nothing.
    void this.#writeAll(closeFrame(CloseCode.Normal));
    setImmediate(() => {
      try {
        this.#conn.close();
      } catch {
        // Closed before.
      }
    });
  }
}
