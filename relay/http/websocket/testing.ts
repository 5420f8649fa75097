/** For tests: what a WebSocket client sends, and what a server's frames say. */
import type { Socket } from "../../server/mod.ts";
import { Opcode } from "./decoder.ts";

/** A client's frame: masked. */
export function clientFrame(
  opcode: number,
  payload: Uint8Array,
  options: { fin?: boolean; mask?: Uint8Array } = {},
): Uint8Array {
  const { fin = true, mask = Uint8Array.of(0x12, 0x34, 0x56, 0x78) } = options;
  const { length } = payload;
  const size = length < 126
    ? [length]
    : length < 65536
    ? [126, length >>> 8, length & 255]
    : [127, 0, 0, 0, 0, length >>> 24, length >>> 16 & 255, length >>> 8 & 255, length & 255];
  const head = [(fin ? 0x80 : 0) | opcode, size[0]! | 0x80, ...size.slice(1), ...mask];
  const frame = new Uint8Array(head.length + length);
  frame.set(head);
  for (let i = 0; i < length; i++) frame[head.length + i] = payload[i]! ^ mask[i & 3]!;
  return frame;
}

/** A frame as its receiver sees it. */
export interface TestMessage {
  opcode: number;
  payload: Uint8Array;
}

/** The client's side of a WebSocket, frame by frame, over any socket; the handshake is done. */
export class TestWebSocket {
  #bytes = new Uint8Array(0);
  readonly #buffer = new Uint8Array(65536);

  /** @param rest what came behind the handshake's answer */
  constructor(readonly socket: Socket, rest: Uint8Array = new Uint8Array(0)) {
    this.#bytes = rest.slice();
  }

  async send(...frames: Uint8Array[]): Promise<void> {
    for (const frame of frames) {
      for (let at = 0; at < frame.length;) at += await this.socket.write(frame.subarray(at));
    }
  }

  binary(payload: Uint8Array): Promise<void> {
    return this.send(clientFrame(Opcode.Binary, payload));
  }

  /** The server's next frame; undefined at the end of the stream. */
  async next(): Promise<TestMessage | undefined> {
    for (;;) {
      const frame = this.#take();
      if (frame !== undefined) return frame;
      const n = await this.socket.read(this.#buffer).catch(() => null);
      if (n === null) return undefined;
      this.#bytes = new Uint8Array([...this.#bytes, ...this.#buffer.subarray(0, n)]);
    }
  }

  #take(): TestMessage | undefined {
    const bytes = this.#bytes;
    if (bytes.length < 2) return undefined;
    if ((bytes[0]! & 0x70) !== 0 || (bytes[1]! & 0x80) !== 0) {
      throw new Error("not a server's frame");
    }
    let length = bytes[1]! & 0x7f;
    let at = 2;
    if (length === 126) {
      if (bytes.length < 4) return undefined;
      length = bytes[2]! << 8 | bytes[3]!;
      at = 4;
    } else if (length === 127) throw new Error("a message beyond what a client takes");
    if (bytes.length < at + length) return undefined;
    this.#bytes = bytes.slice(at + length);
    return { opcode: bytes[0]! & 0x0f, payload: bytes.slice(at, at + length) };
  }
}
