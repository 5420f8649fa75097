/** DERP over WebSocket against a whole relay: other people's clients, and a recorded one. */
import assert from "node:assert/strict";
import { loadRecording } from "../../../tests/vectors/mod.ts";
import {
  BoxKey,
  encodeClientInfo,
  encodePing,
  encodeSendPacket,
  FrameReader,
  FrameType,
  generatePrivateKey,
  openServerInfo,
  publicKeyOf,
} from "../../derp/mod.ts";
import { TestClient, TestRelay } from "../../testing.ts";
import { CloseCode, MAX_MESSAGE, Opcode } from "./decoder.ts";
import { clientFrame, TestWebSocket } from "./testing.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** The head of a WebSocket request, with lines changed or left out. */
function request(change: Record<string, string | null> = {}, method = "GET"): Uint8Array {
  const lines: Record<string, string | null> = {
    "Host": "localhost",
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Origin": "https://elsewhere.test",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Protocol": "derp",
    "Sec-WebSocket-Extensions": "permessage-deflate",
    ...change,
  };
  const text = Object.entries(lines).filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return encode(`${method} /derp HTTP/1.1\r\n${text}\r\n`);
}

async function head(conn: Deno.Conn): Promise<string> {
  const one = new Uint8Array(1);
  let text = "";
  while (!text.endsWith("\r\n\r\n")) {
    if (await conn.read(one) === null) throw new Error(`end of stream after "${text}"`);
    text += String.fromCharCode(one[0]!);
  }
  return text;
}

async function open(relay: TestRelay, bytes = request()): Promise<TestWebSocket> {
  const conn = await relay.connect();
  await conn.write(bytes);
  assert.match(await head(conn), /^HTTP\/1\.1 101 /);
  return new TestWebSocket(conn);
}

/** The runtime's own WebSocket client as a socket. */
async function browser(relay: TestRelay, publicKey: string) {
  const client = Deno.createHttpClient({ caCerts: [relay.certificate.ca] });
  const ws = new WebSocket(`wss://localhost:${relay.relay.address.port}/derp`, {
    protocols: ["derp"],
    client,
  } as unknown as string[]);
  ws.binaryType = "arraybuffer";
  const reader = new FrameReader(1 << 20);
  const sizes: number[] = [];
  let wake = () => {};
  let closed: CloseEvent | undefined;
  ws.onmessage = ({ data }) => {
    sizes.push((data as ArrayBuffer).byteLength);
    reader.push(new Uint8Array(data as ArrayBuffer));
    wake();
  };
  ws.onclose = (event) => {
    closed = event;
    wake();
  };
  await new Promise<void>((resolve, reject) => {
    ws.onopen = () => resolve();
    ws.onerror = () => reject(new Error("no WebSocket"));
  });
  const next = async () => {
    for (;;) {
      const frame = reader.next();
      if (frame !== undefined) return { type: frame.type, payload: frame.payload.slice() };
      if (closed !== undefined) throw new Error("closed");
      await new Promise<void>((resolve) => wake = resolve);
    }
  };
  const privateKey = generatePrivateKey();
  const serverKey = Uint8Array.fromHex(publicKey);
  assert.equal((await next()).type, FrameType.ServerKey);
  const info = encodeClientInfo(privateKey, serverKey, { version: 2, canAckPings: false });
  // Cut in the middle of a frame: messages mean nothing.
  ws.send(info.slice(0, 50));
  ws.send(info.slice(50));
  const server = await next();
  assert.equal(server.type, FrameType.ServerInfo);
  assert.deepEqual(openServerInfo(new BoxKey(privateKey, serverKey), server.payload), {
    version: 2,
  });
  const end = async () => {
    if (closed === undefined) {
      ws.close();
      while (closed === undefined) await new Promise<void>((resolve) => wake = resolve);
    }
    client.close();
    return closed;
  };
  return { ws, next, sizes, end, publicKey: publicKeyOf(privateKey) };
}

Deno.test("a relay carries packets between a browser's WebSocket and a plain client", async () => {
  await using relay = await TestRelay.start();
  const plain = await relay.client();
  const web = await browser(relay, relay.relay.publicKey);
  assert.equal(web.ws.protocol, "derp");
  assert.equal(web.ws.extensions, "");
  for (const length of [0, 1, 100, 1400, 5_000, 30_000, 65_536]) {
    const packet = new Uint8Array(length).map((_, i) => i * 7 + length);
    await plain.send(encodeSendPacket(web.publicKey, packet));
    const received = await web.next();
    assert.equal(received.type, FrameType.RecvPacket);
    assert.deepEqual(received.payload.subarray(32), packet);
    const frame = encodeSendPacket(plain.publicKey, packet);
    for (let at = 0; at < frame.length; at += MAX_MESSAGE) {
      web.ws.send(frame.slice(at, at + MAX_MESSAGE));
    }
    const back = await plain.expect(FrameType.RecvPacket);
    assert.deepEqual(back.subarray(32), packet);
  }
  assert(web.sizes.every((size) => size <= MAX_MESSAGE));
  assert.deepEqual(((end) => [end.code, end.wasClean])(await web.end()), [1000, true]);
  assert.equal(relay.relay.metrics()["websocketAccepts"], 1);
  plain.close();
});

Deno.test("a relay that stops says goodbye to a browser", async () => {
  await using relay = await TestRelay.start();
  const web = await browser(relay, relay.relay.publicKey);
  await relay.relay.close();
  assert.equal((await web.next()).type, FrameType.Restarting);
  await assert.rejects(web.next());
  const { code, wasClean } = await web.end();
  assert.deepEqual({ code, wasClean }, { code: 1000, wasClean: true });
});

Deno.test("a relay answers a recorded WebSocket client as the recorded relay did", async () => {
  const recording = loadRecording();
  const server = recording.keys["server"]!;
  await using relay = await TestRelay.start({ privateKey: Uint8Array.fromHex(server.private) });
  const [web, other] = recording.transcripts.find(({ name }) => name === "websocket-login")!
    .connections;
  const said = (who: typeof web, from: string) =>
    who!.events.filter((event) => event.from === from && event.hex !== undefined)
      .map((event) => Uint8Array.fromHex(event.hex!));

  const [greeting, info, packet, close] = said(web, "client");
  const [recordedHead, ...recorded] = said(web, "server");
  const conn = await relay.connect();
  await conn.write(greeting!);
  const answer = await head(conn);
  const lines = (text: string) =>
    text.toLowerCase().replace(/\r\ndate: [^\r]*/, "").split("\r\n").sort();
  assert.deepEqual(lines(answer), lines(new TextDecoder().decode(recordedHead)));

  const client = new TestWebSocket(conn);
  const reader = new FrameReader(1 << 20);
  const derp = async () => {
    for (;;) {
      const frame = reader.next();
      if (frame !== undefined) return { type: frame.type, payload: frame.payload.slice() };
      const message = await client.next();
      assert.equal(message!.opcode, Opcode.Binary);
      reader.push(message!.payload);
    }
  };
  const b = new TestClient(
    await relay.connect(),
    Uint8Array.fromHex(
      Object.values(recording.keys).find((key) =>
        said(other, "client").some((bytes) => bytes.toHex().includes(key.public)) && key !== server
      )!.private,
    ),
  );
  await b.send(said(other, "client")[0]!);
  await b.expect(FrameType.ServerKey);
  await b.expect(FrameType.ServerInfo);

  assert.equal((await derp()).type, FrameType.ServerKey);
  await client.send(info!);
  assert.equal((await derp()).type, FrameType.ServerInfo);
  await b.send(said(other, "client")[1]!);
  const received = await derp();
  assert.equal(received.type, FrameType.RecvPacket);
  assert.deepEqual(received.payload, recorded[2]!.subarray(2 + 5));
  await client.send(packet!);
  assert.equal(
    (await b.expect(FrameType.RecvPacket)).toHex(),
    said(other, "server")[2]!.toHex().slice(10),
  );
  await client.send(close!);
  assert.deepEqual(await client.next(), { opcode: Opcode.Close, payload: Uint8Array.of(3, 0xe8) });
  assert.equal(await client.next(), undefined);
  await b.expect(FrameType.PeerGone);
  b.close();
  conn.close();
});

Deno.test("a relay refuses a WebSocket handshake that is none, and keeps the connection", async () => {
  await using relay = await TestRelay.start();
  using conn = await relay.connect();
  const ask = async (bytes: Uint8Array) => {
    await conn.write(bytes);
    const text = await head(conn);
    let left = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
    while (left > 0) left -= await conn.read(new Uint8Array(left)) ?? left;
    return text;
  };
  assert.match(await ask(request({}, "POST")), /^HTTP\/1\.1 405 /);
  const version = await ask(request({ "Sec-WebSocket-Version": "12" }));
  assert.match(version, /^HTTP\/1\.1 400 /);
  assert.match(version, /\r\nSec-WebSocket-Version: 13\r\n/i);
  for (const key of [null, "", "AAAA", KEY.slice(1), `${KEY.slice(0, -2)}`, "x".repeat(24)]) {
    assert.match(await ask(request({ "Sec-WebSocket-Key": key })), /^HTTP\/1\.1 400 /, `${key}`);
  }
  assert.match(await ask(request({ "Connection": "keep-alive" })), /^HTTP\/1\.1 426 /);
  // After all that, an upgrade still works on the very same connection.
  await conn.write(request());
  const accepted = await head(conn);
  assert.match(accepted, /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
  assert.match(accepted, /\r\nSec-WebSocket-Protocol: derp\r\n/);
  assert.doesNotMatch(accepted, /extensions/i);
});

Deno.test("a relay closes 1008 when derp is not among the subprotocols", async () => {
  await using relay = await TestRelay.start();
  const other = await open(relay, request({ "Sec-WebSocket-Protocol": "xderpx" }));
  const said = await other.next();
  assert.equal(said!.opcode, Opcode.Close);
  assert.deepEqual(said!.payload.subarray(0, 2), Uint8Array.of(3, 0xf0));
  assert.equal(await other.next(), undefined);
  other.socket.close();
  const among = await open(relay, request({ "Sec-WebSocket-Protocol": "foo, derp" }));
  assert.equal((await among.next())!.opcode, Opcode.Binary);
  among.socket.close();
});

Deno.test("a relay closes a WebSocket that breaks the rules, and says why", async () => {
  await using relay = await TestRelay.start();
  const bad: [Uint8Array, number][] = [
    [clientFrame(Opcode.Text, encode("hello")), CloseCode.UnsupportedData],
    [clientFrame(Opcode.Binary, new Uint8Array(MAX_MESSAGE + 1)), CloseCode.MessageTooBig],
    [Uint8Array.of(0x82, 0x02, 1, 2), CloseCode.ProtocolError],
    [clientFrame(Opcode.Ping, new Uint8Array(1), { fin: false }), CloseCode.ProtocolError],
  ];
  for (const [frame, code] of bad) {
    const client = await open(relay);
    assert.equal((await client.next())!.opcode, Opcode.Binary);
    await client.send(frame);
    const said = await client.next();
    assert.equal(said!.opcode, Opcode.Close);
    assert.equal(said!.payload[0]! << 8 | said!.payload[1]!, code);
    client.socket.close();
  }
});

Deno.test("a relay answers pings of a logged-in WebSocket, and takes frames behind the head", async () => {
  await using relay = await TestRelay.start();
  const key = generatePrivateKey();
  const info = encodeClientInfo(key, Uint8Array.fromHex(relay.relay.publicKey), {
    version: 2,
    canAckPings: false,
  });
  const glued = [
    request(),
    clientFrame(Opcode.Binary, info.slice(0, 30), { fin: false }),
    clientFrame(Opcode.Ping, encode("are you there")),
    clientFrame(Opcode.Continuation, info.slice(30)),
    clientFrame(Opcode.Binary, encodePing(encode("12345678"))),
  ];
  const conn = await relay.connect();
  await conn.write(new Uint8Array(glued.flatMap((part) => [...part])));
  assert.match(await head(conn), /^HTTP\/1\.1 101 /);
  const client = new TestWebSocket(conn);
  const reader = new FrameReader(1 << 20);
  let pong = "";
  const types: number[] = [];
  while (types.length < 3 || pong === "") {
    const message = await client.next();
    if (message!.opcode === Opcode.Pong) pong = new TextDecoder().decode(message!.payload);
    else reader.push(message!.payload);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      types.push(frame.type);
    }
  }
  assert.equal(pong, "are you there");
  assert.deepEqual(types, [FrameType.ServerKey, FrameType.ServerInfo, FrameType.Pong]);
  conn.close();
});
