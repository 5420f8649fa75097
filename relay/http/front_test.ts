import assert from "node:assert/strict";
import {
  encodeClientInfo,
  encodePing,
  FrameType,
  generatePrivateKey,
  upgradeRequest,
} from "../derp/mod.ts";
import { TestClient } from "../server/testing.ts";
import {
  concat,
  decode,
  encode,
  PlainFront,
  readAll,
  readAnswer,
  readHead,
} from "./front_testing.ts";

Deno.test("Front answers 101 and ServerKey in one write", async () => {
  await using setup = new PlainFront();
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
  await using setup = new PlainFront();
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
  await using setup = new PlainFront();
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
  await using setup = new PlainFront();
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
  await using setup = new PlainFront();
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
  await using setup = new PlainFront();
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
  await using setup = new PlainFront({ headMs: 100 });
  using silent = await setup.connect();
  using dribbling = await setup.connect();
  const drip = setInterval(() => void dribbling.write(encode("G")).catch(() => {}), 20);
  assert.equal((await readAll(silent)).length, 0);
  assert.equal((await readAll(dribbling)).length, 0);
  clearInterval(drip);
  assert.equal(setup.relay.counters.headTimeouts, 2);
});

Deno.test("Front ends an ordinary connection that falls silent", async () => {
  await using setup = new PlainFront({ httpIdleMs: 100 });
  using conn = await setup.connect();
  await conn.write(encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n"));
  assert.match(decode(await readAll(conn)), /^HTTP\/1\.1 200 /);
});

Deno.test("Front ends the longest idle connection in favour of a new one", async () => {
  await using setup = new PlainFront({ httpConnections: 1 });
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
  await using setup = new PlainFront({ httpConnections: 1 });
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
  await using setup = new PlainFront();
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

Deno.test("Front answers 404 to every upgrade when DERP is switched off, and still serves probes", async () => {
  await using setup = new PlainFront({}, { derp: false });
  using conn = await setup.connect();
  const upgrades = [
    "Upgrade: DERP\r\n",
    "",
    "Upgrade: websocket\r\nSec-WebSocket-Protocol: derp\r\n",
  ];
  for (const upgrade of upgrades) {
    await conn.write(encode(`GET /derp HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`));
    const { head, body } = await readAnswer(conn);
    assert.match(head, /^HTTP\/1\.1 404 Not Found\r\n/);
    assert.equal(body, "derp server disabled\n");
  }
  await conn.write(encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n"));
  assert.match((await readAnswer(conn)).head, /^HTTP\/1\.1 200 /);
});

Deno.test("Front tells the relay whose connection it hands over", async () => {
  await using setup = new PlainFront();
  const { relay } = setup;
  const seen: unknown[] = [];
  relay.accept = (socket, { address, port, websocket, acceptedAt, remote }) => {
    seen.push({ address, port, websocket, remote });
    assert(performance.now() - acceptedAt! < 5_000);
    socket.close();
    return Promise.resolve();
  };
  const web = "GET /derp HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
    "Sec-WebSocket-Protocol: derp\r\n\r\n";
  for (const request of [upgradeRequest("a"), web]) {
    using conn = await setup.ask(request);
    await readAll(conn);
    const { port } = conn.localAddr;
    const websocket = request === web;
    const remote = `127.0.0.1:${port}`;
    assert.deepEqual(seen.pop(), { address: "127.0.0.1", port, websocket, remote });
  }
});
