/** For tests: sockets in memory and a plain DERP client. */
import {
  type ClientInfo,
  encodeClientInfo,
  FrameReader,
  FrameType,
  generatePrivateKey,
  publicKeyOf,
} from "../derp/mod.ts";
import type { Socket } from "./connection.ts";
import type { Limits } from "./limits.ts";
import { type Admit, RelayServer, type Upgrade } from "./server.ts";

/** One end of a stream in memory. Writes wait while the other end has `high` bytes unread. */
export class MemorySocket implements Socket {
  other!: MemorySocket;
  writes = 0;
  closed = false;
  readonly #high: number;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #wake: (() => void)[] = [];

  constructor(high: number) {
    this.#high = high;
  }

  static pair(high = Infinity): [MemorySocket, MemorySocket] {
    const a = new MemorySocket(high);
    const b = new MemorySocket(high);
    a.other = b;
    b.other = a;
    return [a, b];
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.closed) throw new Deno.errors.BadResource("closed");
      if (this.#ended) return null;
      await this.#changed();
    }
    const chunk = this.#chunks[0]!;
    const n = Math.min(chunk.length, buffer.length);
    buffer.set(chunk.subarray(0, n));
    if (n === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(n);
    this.#bytes -= n;
    this.#notify();
    return n;
  }

  async write(bytes: Uint8Array): Promise<number> {
    this.writes += 1;
    const { other } = this;
    while (other.#bytes > 0 && other.#bytes + bytes.length > other.#high) {
      if (this.closed) throw new Deno.errors.BadResource("closed");
      if (other.closed) throw new Deno.errors.BrokenPipe("broken pipe");
      await other.#changed();
    }
    if (this.closed) throw new Deno.errors.BadResource("closed");
    if (other.closed) throw new Deno.errors.BrokenPipe("broken pipe");
    other.#chunks.push(bytes.slice());
    other.#bytes += bytes.length;
    other.#notify();
    return bytes.length;
  }

  close(): void {
    if (this.closed) throw new Deno.errors.BadResource("closed");
    this.closed = true;
    this.other.#ended = true;
    this.#notify();
    this.other.#notify();
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** A frame as a test sees it. */
export interface TestFrame {
  type: number;
  payload: Uint8Array;
}

/** A DERP client over any socket, one frame at a time. */
export class TestClient {
  readonly publicKey: Uint8Array;
  readonly #reader = new FrameReader(1 << 20);
  readonly #buffer = new Uint8Array(64 * 1024);

  constructor(
    readonly socket: Socket,
    readonly privateKey: Uint8Array = generatePrivateKey(),
  ) {
    this.publicKey = publicKeyOf(privateKey);
  }

  /** Writes all of `bytes`. */
  async send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.socket.write(bytes.subarray(at));
  }

  /** The next frame; undefined at the end of the stream. */
  async next(): Promise<TestFrame | undefined> {
    for (;;) {
      const frame = this.#reader.next();
      if (frame !== undefined) return { type: frame.type, payload: frame.payload.slice() };
      let n: number | null;
      try {
        n = await this.socket.read(this.#buffer);
      } catch {
        return undefined;
      }
      if (n === null) return undefined;
      this.#reader.push(this.#buffer.slice(0, n));
    }
  }

  /** The next frame, which must be of this type. */
  async expect(type: number): Promise<Uint8Array> {
    const frame = await this.next();
    if (frame?.type !== type) throw new Error(`frame ${frame?.type ?? "none"}, not ${type}`);
    return frame.payload;
  }

  /** The login in the protocol itself, from ServerKey to ServerInfo. */
  async login(more: Partial<ClientInfo> = {}): Promise<Uint8Array> {
    const serverKey = (await this.expect(FrameType.ServerKey)).slice(8, 40);
    const info = { version: 2, canAckPings: false, ...more };
    await this.send(encodeClientInfo(this.privateKey, serverKey, info));
    return await this.expect(FrameType.ServerInfo);
  }

  close(): void {
    try {
      this.socket.close();
    } catch {
      // The other side was first.
    }
  }
}

/** A relay server with clients in memory. */
export class TestServer implements AsyncDisposable {
  readonly relay: RelayServer;
  readonly privateKey = generatePrivateKey();

  constructor(limits: Partial<Limits> = {}, more: { meshKey?: Uint8Array; admit?: Admit } = {}) {
    const { privateKey } = this;
    const identity = { privateKey, publicKey: publicKeyOf(privateKey) };
    this.relay = new RelayServer(identity, { sweepMs: 10, drainMs: 50, ...limits }, more);
  }

  /** A client whose stream has been handed over; `high` bounds what waits for it unread. */
  open(high = Infinity, privateKey?: Uint8Array, upgrade: Partial<Upgrade> = {}): TestClient {
    const [here, there] = MemorySocket.pair(high);
    const client = new TestClient(here, privateKey);
    void this.relay.accept(there, {
      initial: new Uint8Array(0),
      fastStart: true,
      notIdeal: false,
      remote: "test",
      ...upgrade,
    });
    return client;
  }

  /** A client that is logged in. */
  async client(
    high = Infinity,
    privateKey?: Uint8Array,
    info: Partial<ClientInfo> = {},
    upgrade: Partial<Upgrade> = {},
  ): Promise<TestClient> {
    const client = this.open(high, privateKey, upgrade);
    await client.login(info);
    return client;
  }

  /** Another relay of the region. */
  relayClient(privateKey?: Uint8Array): Promise<TestClient> {
    const meshKey = this.relay.meshKey!.toHex();
    return this.client(Infinity, privateKey, { meshKey });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay.close();
  }
}
