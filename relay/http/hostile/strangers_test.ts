/** What comes before a login is a stranger's, and may be anything. Each with short limits, over TLS. */
import assert from "node:assert/strict";
import { encodePing, FrameType, upgradeRequest } from "../../derp/mod.ts";
import { TestRelay } from "../../testing.ts";
import { concat, decode, encode, readAll, readAnswer, readHead, send } from "../front_testing.ts";
import { openFiles, until } from "./testing.ts";

const LIMITS = { sweepMs: 10, drainMs: 100, headMs: 300, loginMs: 300, httpIdleMs: 300 };
const start = (limits = {}) => TestRelay.start({ limits: { ...LIMITS, ...limits } });

function tcp(relay: TestRelay): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port: relay.relay.address.port });
}

/** The first bytes of a TLS connection: a ClientHello's record, cut off. */
const HALF_HELLO = Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 1, 2, 3, 4);

Deno.test("a relay ends TCP connections that are silent, or stop within the TLS handshake", async () => {
  await using relay = await start();
  using silent = await tcp(relay);
  using half = await tcp(relay);
  await half.write(HALF_HELLO);
  using dribbling = await tcp(relay);
  const drip = setInterval(
    () => void dribbling.write(HALF_HELLO.subarray(0, 1)).catch(() => {}),
    50,
  );
  const started = performance.now();
  await Promise.all([silent, half, dribbling].map(readAll));
  clearInterval(drip);
  assert(performance.now() - started < 5_000);
  // One byte of a record at a time is soon no record at all, and ended for that.
  await until(() => relay.relay.metrics()["headTimeouts"]! >= 2, "two timeouts");
});

Deno.test("a relay soon ends a connection that speaks no TLS on the TLS port", async () => {
  await using relay = await start({ headMs: 60_000 });
  for (const said of ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\0".repeat(100), "SSH-2.0-x\r\n"]) {
    using conn = await tcp(relay);
    await conn.write(encode(said));
    const answer = await readAll(conn);
    assert(answer.length <= 16, "an alert at most");
  }
});

Deno.test("a relay ends heads that dribble, whole ones that come byte by byte are fine", async () => {
  await using relay = await start({ headMs: 1_000 });
  using slow = await relay.connect();
  const drip = setInterval(() => void slow.write(encode("X: y\r\n")).catch(() => {}), 50);
  await slow.write(encode("GET / HTTP/1.1\r\nHost: a\r\n"));
  assert.equal((await readAll(slow)).length, 0);
  clearInterval(drip);

  const key = (await relay.client()).publicKey;
  assert.equal(key.length, 32);
  using bytewise = await relay.connect();
  for (const byte of upgradeRequest("localhost")) await bytewise.write(Uint8Array.of(byte));
  assert.match((await readHead(bytewise)).head, /^HTTP\/1\.1 101 /);
});

Deno.test("a relay refuses huge heads without reading them to the end", async () => {
  await using relay = await start();
  for (
    const head of [`GET /${"a".repeat(40_000)}`, `GET / HTTP/1.1\r\n${"X: y\r\n".repeat(8_000)}`]
  ) {
    using conn = await relay.connect();
    await send(conn, encode(head)).catch(() => {});
    assert.match(
      decode(await readAll(conn)),
      /^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/,
    );
  }
});

Deno.test("a relay takes what is glued behind an upgrade as DERP, and ends what is not", async () => {
  await using relay = await start();
  const garbage = crypto.getRandomValues(new Uint8Array(20_000));
  garbage[0] = 0xff;
  const bodied = decode(upgradeRequest("localhost"))
    .replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello");
  const second = concat(upgradeRequest("localhost"), encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  for (const said of [concat(upgradeRequest("localhost"), garbage), encode(bodied), second]) {
    using conn = await relay.connect();
    await send(conn, said).catch(() => {});
    const { head, rest } = await readHead(conn);
    assert.match(head, /^HTTP\/1\.1 101 /);
    const all = concat(rest, await readAll(conn));
    assert.equal(all.length, 45, "the server's key, and nothing else");
  }
  await until(() => relay.relay.metrics()["loginsRefused"] === 3, "three refused logins");
});

Deno.test("a relay ends an upgrade that never logs in, however it dribbles", async () => {
  await using relay = await start();
  using conn = await relay.connect();
  await conn.write(upgradeRequest("localhost"));
  const drip = setInterval(() => void conn.write(Uint8Array.of(2)).catch(() => {}), 50);
  await readAll(conn);
  clearInterval(drip);
  using web = await relay.connect();
  await web.write(encode(
    "GET /derp HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
      "Sec-WebSocket-Protocol: derp\r\n\r\n",
  ));
  await readAll(web);
  assert.equal(relay.relay.metrics()["currentConnections"], 0);
});

Deno.test("a relay cannot be made to see two requests where a proxy sees one", async () => {
  await using relay = await start();
  const hidden = "GET /debug/varz HTTP/1.1\r\nHost: a\r\n\r\n";
  const tricks = [
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${hidden.length}\r\nContent-Length: 0\r\n\r\n`,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Content-Length: 0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
  ];
  for (const trick of tricks) {
    using conn = await relay.connect();
    await conn.write(encode(trick + hidden));
    const answers = decode(await readAll(conn)).match(/HTTP\/1\.1 \d+/g) ?? [];
    assert.equal(answers.length, 1, JSON.stringify(trick));
  }
  // The body of a request is no request, and what follows it is one.
  using conn = await relay.connect();
  const body = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`;
  await conn.write(encode(`${body}GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`));
  const text = decode(await readAll(conn));
  assert.equal(text.match(/HTTP\/1\.1 200/g)!.length, 2);
  assert.doesNotMatch(text, /# TYPE/);
});

Deno.test("a relay reads no Date: its limits stand when the clock jumps", async () => {
  await using relay = await start({ loginMs: 2_000, headMs: 2_000 });
  const client = await relay.client();
  using stranger = await tcp(relay);
  const { now } = Date;
  try {
    for (const jump of [-86_400_000 * 365, 86_400_000 * 365]) {
      Date.now = () => now() + jump;
      await client.send(encodePing(encode("12345678")));
      await client.expect(FrameType.Pong);
      using fresh = await relay.connect();
      await fresh.write(encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n"));
      assert.match((await readAnswer(fresh)).head, /^HTTP\/1\.1 200 /);
    }
    assert.equal(relay.relay.metrics()["headTimeouts"], 0);
  } finally {
    Date.now = now;
  }
  await readAll(stranger);
  assert.equal(relay.relay.metrics()["headTimeouts"], 1);
  client.close();
});

Deno.test("a relay holds nothing of connections that have gone", async () => {
  await using relay = await start({ headMs: 5_000 });
  const rounds = async (count: number) => {
    for (let i = 0; i < count / 20; i++) {
      await Promise.all(Array.from({ length: 20 }, async (_, j) => {
        // Most end before the handshake, some in it, some behind it.
        const conn = await tcp(relay);
        if (j % 4 === 0) await conn.write(HALF_HELLO);
        conn.close();
        if (j % 10 === 0) {
          using whole = await relay.connect();
          await whole.write(j === 0 ? upgradeRequest("a") : encode("GET / HTTP/1.1\r\n"));
        }
      }));
    }
    const gone = () => relay.relay.metrics()["currentConnections"] === 0;
    await until(gone, "all gone");
  };
  await rounds(400);
  await until(() => openFiles() < 60, "descriptors come back");
  const files = openFiles();
  const before = Deno.memoryUsage();
  await rounds(2_000);
  await until(() => openFiles() <= files + 2, "descriptors come back");
  const after = Deno.memoryUsage();
  const grown = after.rss - before.rss;
  assert(grown < 64 << 20, `${grown >> 20} MiB more for connections that are gone`);
  assert(relay.relay.metrics()["tlsAccepted"]! >= 2_400);
});
