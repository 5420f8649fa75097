/** For tests: relays that listen on plain TCP, and clients of them. */
import { FrameType, generatePrivateKey, publicKeyOf } from "../derp/mod.ts";
import { type Limits, RelayServer } from "../server/mod.ts";
import { MemorySocket, TestClient } from "../server/testing.ts";
import type { MeshPeer } from "./config.ts";
import { tryClose } from "./stream.ts";

export { TestClient };

export const MESH_KEY: Uint8Array = new Uint8Array(32).fill(0xa5);

/** A relay without the HTTP side: any request becomes a DERP stream. */
export class PlainRelay implements AsyncDisposable {
  readonly identity: { privateKey: Uint8Array; publicKey: Uint8Array };
  readonly relay: RelayServer;
  readonly #listener: Deno.TcpListener;

  constructor(
    limits: Partial<Limits> = {},
    privateKey: Uint8Array = generatePrivateKey(),
    port = 0,
  ) {
    this.identity = { privateKey, publicKey: publicKeyOf(privateKey) };
    const more = { meshKey: MESH_KEY };
    this.relay = new RelayServer(this.identity, { sweepMs: 10, drainMs: 50, ...limits }, more);
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port, reusePort: true });
    void this.#serve();
  }

  get peer(): MeshPeer {
    return { host: "127.0.0.1", port: this.#listener.addr.port };
  }

  async #serve(): Promise<void> {
    for await (const conn of this.#listener) void this.#take(conn);
  }

  /** Leaves the port to a successor. */
  stopAccepting(): void {
    this.#listener.close();
  }

  async #take(conn: Deno.TcpConn): Promise<void> {
    const { hostname, port } = conn.remoteAddr;
    let head = new Uint8Array(0);
    const buffer = new Uint8Array(4096);
    for (;;) {
      const n = await conn.read(buffer).catch(() => null);
      if (n === null) return conn.close();
      head = new Uint8Array([...head, ...buffer.subarray(0, n)]);
      const end = new TextDecoder("latin1").decode(head).indexOf("\r\n\r\n");
      if (end < 0) continue;
      return void this.relay.accept(conn, {
        initial: head.subarray(end + 4),
        fastStart: false,
        notIdeal: false,
        remote: `${hostname}:${port}`,
        address: hostname,
        port,
      });
    }
  }

  /** A client of this relay, logged in; with the mesh key, a relay of the region. */
  async client(privateKey?: Uint8Array, meshKey?: Uint8Array): Promise<TestClient> {
    const [here, there] = MemorySocket.pair();
    const client = new TestClient(here, privateKey);
    void this.relay.accept(there, {
      initial: new Uint8Array(0),
      fastStart: true,
      notIdeal: false,
      remote: "test",
      address: "192.0.2.1",
      port: 1000,
    });
    await client.login(meshKey === undefined ? {} : { meshKey: meshKey.toHex() });
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    tryClose(this.#listener);
    await this.relay.close();
  }
}

/** Waits until something holds. Used where nothing can be awaited but a table's content. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The packet of the next RecvPacket, as text, and its source; frames of other types are passed over. */
export async function receive(client: TestClient): Promise<{ from: string; text: string }> {
  for (;;) {
    const frame = await client.next();
    if (frame === undefined) throw new Error("the stream ended");
    if (frame.type !== FrameType.RecvPacket) continue;
    const { payload } = frame;
    return {
      from: payload.subarray(0, 32).toHex(),
      text: new TextDecoder().decode(payload.subarray(32)),
    };
  }
}
