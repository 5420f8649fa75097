/** For tests: a relay over TLS with a private CA, and clients of it. */
import { upgradeRequest } from "./derp/mod.ts";
import { ensureSelfSigned, type SelfSigned } from "./cert/mod.ts";
import { type Relay, type RelayConfig, startRelay } from "./relay.ts";
import { MemorySocket, TestClient } from "./server/testing.ts";

export { MemorySocket, TestClient };

/** A running relay that cleans up after itself. */
export class TestRelay implements AsyncDisposable {
  private constructor(
    readonly relay: Relay,
    readonly certificate: SelfSigned,
    readonly directory: string,
  ) {}

  static async start(config: Partial<RelayConfig> = {}): Promise<TestRelay> {
    const directory = await Deno.makeTempDir({ prefix: "nexd-relay-test-" });
    const certificate = await ensureSelfSigned(directory, ["localhost", "127.0.0.1"]);
    const relay = await startRelay({
      addr: { hostname: "127.0.0.1", port: 0 },
      certificate,
      limits: { sweepMs: 10, drainMs: 100 },
      ...config,
    });
    return new TestRelay(relay, certificate, directory);
  }

  /** A TLS connection to the relay. */
  connect(): Promise<Deno.TlsConn> {
    return Deno.connectTls({
      hostname: "localhost",
      port: this.relay.address.port,
      caCerts: [this.certificate.ca],
    });
  }

  /** A logged-in client. */
  async client(privateKey?: Uint8Array): Promise<TestClient> {
    const socket = await this.connect();
    const client = new TestClient(socket, privateKey);
    await client.send(upgradeRequest("localhost"));
    await readHead(socket);
    await client.login();
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay.close();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Reads the 101 head byte by byte, so that nothing behind it is lost. */
async function readHead(socket: Deno.Conn): Promise<string> {
  const one = new Uint8Array(1);
  let head = "";
  while (!head.endsWith("\r\n\r\n")) {
    if (await socket.read(one) === null) throw new Error(`end of stream after "${head}"`);
    head += String.fromCharCode(one[0]!);
  }
  if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`not an upgrade: ${head}`);
  return head;
}
