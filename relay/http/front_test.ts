import assert from "node:assert/strict";
import {
  encodeClientInfo,
  encodePing,
  FrameType,
  generatePrivateKey,
  publicKeyOf,
  upgradeRequest,
} from "../derp/mod.ts";
import { type Limits, RelayServer } from "../server/mod.ts";
import { TestClient } from "../server/testing.ts";
import { Front, relayApp, Responder } from "./mod.ts";
import { testState } from "./testing.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);
const concat = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

/** A relay on a plain port. */
class Setup implements AsyncDisposable {
  readonly relay: RelayServer;
  readonly front: Front;
  readonly responder: Responder;
  readonly port: number;
  readonly publicKey: Uint8Array;

  constructor(limits: Partial<Limits> = {}) {
    const privateKey = generatePrivateKey();
    this.publicKey = publicKeyOf(privateKey);
    const identity = { privateKey, publicKey: this.publicKey };
    const relay = new RelayServer(identity, { sweepMs: 10, drainMs: 50, ...limits });
    const app = relayApp(testState({ check: () => relay.registry.check() }));
    this.relay = relay;
    this.responder = new Responder(app, relay.limits, relay.sweep);
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = (listener.addr as Deno.NetAddr).port;
    this.front = new Front(listener, relay, this.responder);
  }

  async connect(): Promise<Deno.TcpConn> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    conn.setNoDelay(true);
    return conn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.front.stop();
    await this.responder.close();
    await this.relay.close();
  }
}

async function readAll(conn: Deno.Conn): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(65536);
  for (;;) {
    const n = await conn.read(buffer).catch(() => null);
    if (n === null) break;
    chunks.push(buffer.slice(0, n));
  }
  return concat(...chunks);
}

async function readHead(conn: Deno.Conn): Promise<{ head: string; rest: Uint8Array; n: number }> {
  let all = new Uint8Array(0);
  const buffer = new Uint8Array(65536);
  for (let n = 1;; n++) {
    const got = await conn.read(buffer);
    if (got === null) throw new Error("end of stream");
    all = concat(all, buffer.subarray(0, got)) as Uint8Array<ArrayBuffer>;
    const end = decode(all).indexOf("\r\n\r\n");
    if (end >= 0) return { head: decode(all.subarray(0, end + 4)), rest: all.subarray(end + 4), n };
  }
}

Deno.test("Front answers 101 and ServerKey in one write", async () => {
  await using setup = new Setup();
  using conn = await setup.connect();
  await conn.write(upgradeRequest("relay.test"));
  const { head, rest, n } = await readHead(conn);
  assert.equal(n, 1);
  const hex = setup.publicKey.toHex();
  assert.equal(
    head,
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n" +
      `Derp-Version: 2\r\nDerp-Public-Key: ${hex}\r\n\r\n`,
  );
  assert.equal(rest.toHex(), "010000002844455250f09f9491" + hex);
});

Deno.test("Front takes DERP bytes that came with the head, in every cut", async () => {
  await using setup = new Setup();
  const key = generatePrivateKey();
  const all = concat(
    upgradeRequest("relay.test", { fastStart: true }),
    encodeClientInfo(key, setup.publicKey, { version: 2, canAckPings: false }),
    encodePing(encode("12345678")),
  );
  for (const cut of [all.length, 1, 20, all.length - 14, all.length - 30, all.length - 1]) {
    const conn = await setup.connect();
    const client = new TestClient(conn, key);
    await conn.write(all.subarray(0, cut));
    if (cut < all.length) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await conn.write(all.subarray(cut));
    }
    await client.expect(FrameType.ServerKey);
    await client.expect(FrameType.ServerInfo);
    assert.equal(decode(await client.expect(FrameType.Pong)), "12345678");
    client.close();
  }
});

Deno.test("Front gives fast start to the value 1 only", async () => {
  await using setup = new Setup();
  for (const value of ["0", "true", "01", ""]) {
    using conn = await setup.connect();
    await conn.write(
      encode(
        `GET /derp HTTP/1.1\r\nHost: a\r\nUpgrade: DERP\r\nDerp-Fast-Start: ${value}\r\n\r\n`,
      ),
    );
    assert.match((await readHead(conn)).head, /^HTTP\/1\.1 101 /);
  }
});

Deno.test("Front serves ordinary requests over one kept connection", async () => {
  await using setup = new Setup();
  using conn = await setup.connect();
  for (const path of ["/derp/probe", "/robots.txt", "/debug/varz", "/derp"]) {
    await conn.write(encode(`GET ${path} HTTP/1.1\r\nHost: relay.test\r\n\r\n`));
    const { head, rest } = await readHead(conn);
    assert.match(head, path === "/derp" ? /^HTTP\/1\.1 426 / : /^HTTP\/1\.1 200 /, path);
    let left = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0) - rest.length;
    const buffer = new Uint8Array(65536);
    while (left > 0) left -= (await conn.read(buffer)) ?? left;
  }
  assert.equal(setup.responder.size, 1);
});

Deno.test("Front carries a large request body through", async () => {
  await using setup = new Setup();
  using conn = await setup.connect();
  const body = new Uint8Array(3 << 20);
  const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n` +
    "Connection: close\r\n\r\n";
  const sent = (async () => {
    for (let at = 0; at < head.length + body.length;) {
      at += await conn.write(concat(encode(head), body).subarray(at));
    }
  })().catch(() => {});
  assert.match(decode(await readAll(conn)), /^HTTP\/1\.1 200 /);
  await sent;
});

Deno.test("Front refuses what is not HTTP, and closes", async () => {
  await using setup = new Setup();
  const bad: [string, string][] = [
    ["hello\r\n\r\n", "400"],
    ["GET / HTTP/1.1\r\n\r\n", "400"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"],
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(20_000)}`, "431"],
  ];
  for (const [request, status] of bad) {
    using conn = await setup.connect();
    await conn.write(encode(request));
    const answer = decode(await readAll(conn));
    if (answer !== "") assert(answer.startsWith(`HTTP/1.1 ${status} `), answer.slice(0, 60));
    else assert.equal(status, "431", "unread bytes may turn the answer into a reset");
  }
});

Deno.test("Front ends connections that send no head in time", async () => {
  await using setup = new Setup({ headMs: 100 });
  using silent = await setup.connect();
  using dribbling = await setup.connect();
  const drip = setInterval(() => void dribbling.write(encode("G")).catch(() => {}), 20);
  assert.equal((await readAll(silent)).length, 0);
  assert.equal((await readAll(dribbling)).length, 0);
  clearInterval(drip);
  assert.equal(setup.relay.counters.headTimeouts, 2);
});

Deno.test("Front ends an ordinary connection that falls silent", async () => {
  await using setup = new Setup({ httpIdleMs: 100 });
  using conn = await setup.connect();
  await conn.write(encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n"));
  assert.match(decode(await readAll(conn)), /^HTTP\/1\.1 200 /);
});

Deno.test("Front ends the longest idle connection in favour of a new one", async () => {
  await using setup = new Setup({ httpConnections: 1 });
  using first = await setup.connect();
  await first.write(encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n"));
  await readHead(first);
  using second = await setup.connect();
  await second.write(encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n"));
  assert.match((await readHead(second)).head, /^HTTP\/1\.1 200 /);
  assert.equal((await readAll(first)).length, 0);
  assert.equal(setup.responder.size, 1);
});

Deno.test("Front answers 503 beyond its busy connections, and still takes DERP", async () => {
  await using setup = new Setup({ httpConnections: 1 });
  using first = await setup.connect();
  await first.write(encode("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"));
  await readHead(first);
  using second = await setup.connect();
  await second.write(encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n"));
  assert.match((await readHead(second)).head, /^HTTP\/1\.1 503 /);
  using derp = await setup.connect();
  await derp.write(upgradeRequest("relay.test"));
  assert.match((await readHead(derp)).head, /^HTTP\/1\.1 101 /);
});

Deno.test("Front takes an upgrade as a later request of a kept connection", async () => {
  await using setup = new Setup();
  const conn = await setup.connect();
  const probe = encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n");
  const post = encode(
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
      "3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
  );
  // All at once, as a client would that does not wait for answers.
  await conn.write(concat(probe, post, probe, upgradeRequest("relay.test")));
  let text = "";
  const buffer = new Uint8Array(4096);
  while (!text.includes("\r\n\r\n\x01")) {
    const n = await conn.read(buffer);
    assert(n !== null, text);
    text += decode(buffer.subarray(0, n));
  }
  const heads = text.match(/HTTP\/1\.1 \d+/g);
  assert.deepEqual(heads, ["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 101"]);
  assert.equal(setup.responder.size, 0);
  conn.close();
});
