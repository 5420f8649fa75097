import assert from "node:assert/strict";
import fc from "fast-check";
import {
  encodeClientInfo,
  encodeClosePeer,
  encodeForwardPacket,
  encodeFrame,
  encodeNotePreferred,
  encodePing,
  encodeRecvPacket,
  encodeSendPacket,
  encodeWatchConns,
  FrameType,
  generatePrivateKey,
  PeerGoneReason,
  publicKeyOf,
} from "../derp/mod.ts";
import { DropReason } from "./counters.ts";
import { type MemorySocket, TestServer as Setup } from "./testing.ts";

const concat = (parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

function text(payload: Uint8Array): string {
  return new TextDecoder().decode(payload.subarray(32));
}
const bytes = (value: string) => new TextEncoder().encode(value);
const disco = (length: number) => {
  const packet = new Uint8Array(length);
  packet.set([0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac]);
  return packet;
};

Deno.test("RelayServer forwards a packet with the source's key", async () => {
  await using setup = new Setup();
  const [a, b] = [await setup.client(), await setup.client()];
  await a.send(encodeSendPacket(b.publicKey, bytes("hello")));
  const payload = await b.expect(FrameType.RecvPacket);
  assert.deepEqual(payload.subarray(0, 32), a.publicKey);
  assert.equal(text(payload), "hello");
  await b.send(encodeSendPacket(a.publicKey, new Uint8Array(0)));
  assert.equal((await a.expect(FrameType.RecvPacket)).length, 32, "an empty packet is legal");
  await a.send(encodeSendPacket(a.publicKey, bytes("me")));
  assert.equal(text(await a.expect(FrameType.RecvPacket)), "me");
});

Deno.test("RelayServer gathers keepalives of idle sessions into one write, and lets nothing wait behind them", async () => {
  await using setup = new Setup();
  const [a, b, c] = [await setup.client(), await setup.client(), await setup.client()];
  const data = (counter: number, length = 32) => {
    const packet = new Uint8Array(length);
    packet[0] = 4;
    packet[8] = counter;
    return packet;
  };
  const writes = () => (b.socket as MemorySocket).other.writes;
  const before = writes();
  const started = performance.now();
  await a.send(encodeSendPacket(b.publicKey, data(1)));
  await c.send(encodeSendPacket(b.publicKey, data(2)));
  assert.deepEqual((await b.expect(FrameType.RecvPacket)).subarray(32), data(1));
  assert.deepEqual((await b.expect(FrameType.RecvPacket)).subarray(32), data(2));
  assert.equal(writes(), before + 1);
  assert(performance.now() - started >= 240, "they have waited");
  // Real traffic takes along what waits; the first of a session, whose counter is 0, is such.
  for (const urgent of [data(0), data(9, 48), bytes("a packet")]) {
    let took = Infinity;
    for (let tries = 0; tries < 5 && took >= 200; tries++) { // a busy machine may stand still
      const sent = performance.now();
      await a.send(encodeSendPacket(b.publicKey, data(3)));
      await c.send(encodeSendPacket(b.publicKey, urgent));
      assert.deepEqual((await b.expect(FrameType.RecvPacket)).subarray(32), data(3));
      assert.deepEqual((await b.expect(FrameType.RecvPacket)).subarray(32), urgent);
      took = performance.now() - sent;
      await new Promise((resolve) => setTimeout(resolve, 260)); // the timer that is under way
    }
    assert(took < 200, `${urgent.length} bytes have waited ${took} ms`);
  }
});

Deno.test("RelayServer forwards the same bytes however the stream is cut", async () => {
  await using setup = new Setup();
  const [a, b, c] = [await setup.client(), await setup.client(), await setup.client()];
  const packets = fc.array(
    fc.record({ to: fc.boolean(), size: fc.oneof(fc.nat(80), fc.nat(3000), fc.nat(65536)) }),
    { minLength: 1, maxLength: 8 },
  );
  let round = 0;
  const property = fc.asyncProperty(packets, fc.array(fc.nat(), { maxLength: 12 }), async (
    list,
    cuts,
  ) => {
    round += 1;
    const sent = list.map(({ to, size }, i) => ({
      to: to ? b : c,
      packet: new Uint8Array(size).fill(round + i),
    }));
    const stream = concat([
      ...sent.map(({ to, packet }) => encodeSendPacket(to.publicKey, packet)),
      encodeFrame(0x7f, new Uint8Array(round % 5000)),
      encodePing(new Uint8Array(8).fill(round)),
    ]);
    const places = [...new Set(cuts.map((cut) => cut % stream.length))].sort((x, y) => x - y);
    let at = 0;
    for (const place of [...places, stream.length]) {
      await a.send(stream.subarray(at, place));
      // Let the relay read what is there, so that cuts are seen as cuts.
      await Promise.resolve();
      at = place;
    }
    for (const { to, packet } of sent) {
      const payload = await to.expect(FrameType.RecvPacket);
      assert.deepEqual(payload, encodeRecvPacket(a.publicKey, packet).subarray(5));
    }
    assert.deepEqual(await a.expect(FrameType.Pong), new Uint8Array(8).fill(round));
  });
  await fc.assert(property, { numRuns: 60 });
});

Deno.test("RelayServer writes packets gathered in a turn at once", async () => {
  await using setup = new Setup();
  const [a, b] = [await setup.client(), await setup.client()];
  const there = (b.socket as MemorySocket).other;
  const before = there.writes;
  await a.send(concat(Array.from({ length: 30 }, () => encodeSendPacket(b.publicKey, bytes("x")))));
  for (let i = 0; i < 30; i++) await b.expect(FrameType.RecvPacket);
  assert.equal(there.writes - before, 1);
});

Deno.test("RelayServer serves others while one receiver has stalled, and closes it", async () => {
  await using setup = new Setup({ writeMs: 300, queuePackets: 16 });
  const [a, b] = [await setup.client(), await setup.client()];
  const stalled = await setup.client(2000);
  const big = new Uint8Array(1400);
  const worst = { ms: 0 };
  for (let i = 0; i < 100; i++) {
    await a.send(encodeSendPacket(stalled.publicKey, big));
    const started = performance.now();
    await a.send(encodeSendPacket(b.publicKey, bytes(`${i}`)));
    assert.equal(text(await b.expect(FrameType.RecvPacket)), `${i}`);
    worst.ms = Math.max(worst.ms, performance.now() - started);
  }
  assert(worst.ms < 250, `${worst.ms} ms is a wait for the stalled one`);
  assert(setup.relay.counters.droppedTotal(DropReason.QueueHead) > 50);
  while (setup.relay.counters.writeTimeouts === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(setup.relay.registry.keys, 2, "the stalled client is closed");
});

Deno.test("RelayServer gives a receiver that pauses the newest packets", async () => {
  await using setup = new Setup({ queuePackets: 16, writeMs: 5000, queueMs: 5000 });
  const [a, slow] = [await setup.client(), await setup.client(1500)];
  const packet = (n: number) => concat([bytes(`${n}|`), new Uint8Array(1000)]);
  for (let n = 1; n <= 200; n++) await a.send(encodeSendPacket(slow.publicKey, packet(n)));
  await a.send(encodePing(new Uint8Array(8)));
  await a.expect(FrameType.Pong);
  const seen: number[] = [];
  while (seen.at(-1) !== 200) seen.push(parseInt(text(await slow.expect(FrameType.RecvPacket))));
  assert.deepEqual(seen, [...seen].sort((x, y) => x - y), "order is kept");
  assert(seen.length < 60, "there is a gap");
  assert.deepEqual(seen.slice(-10), Array.from({ length: 10 }, (_, i) => 191 + i));
});

Deno.test("RelayServer sends ServerInfo first, also when packets wait already", async () => {
  await using setup = new Setup();
  const a = await setup.client();
  const key = generatePrivateKey();
  const b = setup.open(Infinity, key);
  const serverKey = (await b.expect(FrameType.ServerKey)).slice(8, 40);
  await b.send(concat([
    encodeClientInfo(key, serverKey, { version: 2, canAckPings: true }),
    encodeSendPacket(publicKeyOf(key), bytes("self")),
    encodePing(bytes("12345678")),
  ]));
  await a.send(encodeSendPacket(b.publicKey, bytes("early")));
  const types = [];
  while (types.at(-1) !== FrameType.Pong) types.push((await b.next())?.type);
  // The early packet came in time, or it found nobody.
  const [first, ...rest] = types.slice(0, -1);
  assert.equal(first, FrameType.ServerInfo);
  assert(rest.length >= 1 && rest.every((type) => type === FrameType.RecvPacket));
});

Deno.test("RelayServer closes a silent login in time, and a dribbling one too", async () => {
  await using setup = new Setup({ loginMs: 120 });
  const started = performance.now();
  const silent = setup.open();
  const dribbling = setup.open();
  await dribbling.expect(FrameType.ServerKey);
  const drip = setInterval(() => void dribbling.send(new Uint8Array([2])).catch(() => {}), 20);
  await silent.expect(FrameType.ServerKey);
  assert.equal(await silent.next(), undefined);
  assert.equal(await dribbling.next(), undefined);
  clearInterval(drip);
  const took = performance.now() - started;
  assert(took >= 100 && took < 2000, `${took} ms`);
  assert(setup.relay.counters.loginTimeouts >= 1);
});

Deno.test("RelayServer closes clients that send what they may not", async () => {
  await using setup = new Setup();
  const key = new Uint8Array(32).fill(3);
  const forbidden: [string, Uint8Array][] = [
    ["ForwardPacket", encodeForwardPacket(key, key, new Uint8Array(9))],
    ["WatchConns", encodeWatchConns()],
    ["ClosePeer", encodeClosePeer(key)],
    ["SendPacket of 31 bytes", encodeFrame(FrameType.SendPacket, new Uint8Array(31))],
    ["SendPacket too long", new Uint8Array([4, 0, 1, 0, 0x21])],
    ["NotePreferred of 2 bytes", encodeFrame(FrameType.NotePreferred, new Uint8Array(2))],
    ["Ping of 7 bytes", encodeFrame(FrameType.Ping, new Uint8Array(7))],
    ["Ping of 1001 bytes", encodeFrame(FrameType.Ping, new Uint8Array(1001))],
    ["an unknown frame over 1 MiB", new Uint8Array([0x7f, 0, 0x10, 0, 1])],
  ];
  for (const [what, frame] of forbidden) {
    const client = await setup.client();
    await client.send(frame);
    assert.equal(await client.next(), undefined, what);
  }
  assert.equal(setup.relay.counters.protocolErrors, forbidden.length);
});

Deno.test("RelayServer skips unknown frames up to a mebibyte", async () => {
  await using setup = new Setup();
  const a = await setup.client();
  await a.send(encodeFrame(0x7f, new Uint8Array(1 << 20)));
  await a.send(encodeFrame(FrameType.RecvPacket, new Uint8Array(40)));
  await a.send(encodeFrame(FrameType.Pong, new Uint8Array(8)));
  await a.send(encodeFrame(FrameType.Ping, new Uint8Array(1000).fill(5)));
  assert.deepEqual(await a.expect(FrameType.Pong), new Uint8Array(8).fill(5));
  assert.equal(setup.relay.counters.unknownFrames, 2);
});

Deno.test("RelayServer refuses a login whose key anybody could have", async () => {
  await using setup = new Setup();
  for (const first of [0, 1]) {
    const client = setup.open();
    await client.expect(FrameType.ServerKey);
    const payload = new Uint8Array(32 + 24 + 16 + 30);
    payload[0] = first;
    await client.send(encodeFrame(FrameType.ClientInfo, payload));
    assert.equal(await client.next(), undefined);
  }
  assert.equal(setup.relay.counters.loginsRefused, 2);
});

Deno.test("RelayServer says not here for disco packets only, three at once", async () => {
  await using setup = new Setup();
  const a = await setup.client();
  const nobody = publicKeyOf(generatePrivateKey());
  await a.send(encodeSendPacket(nobody, bytes("data")));
  await a.send(encodeSendPacket(nobody, disco(61)));
  for (let i = 0; i < 5; i++) await a.send(encodeSendPacket(nobody, disco(62)));
  await a.send(encodePing(new Uint8Array(8)));
  for (let i = 0; i < 3; i++) {
    const payload = await a.expect(FrameType.PeerGone);
    assert.deepEqual(payload.subarray(0, 32), nobody);
    assert.equal(payload[32], PeerGoneReason.NotHere);
  }
  await a.expect(FrameType.Pong);
  const { counters } = setup.relay;
  assert.equal(counters.droppedTotal(DropReason.UnknownDest), 7);
  assert.equal(counters.dropped[DropReason.UnknownDest * 2], 5, "five were disco");
  assert.equal(counters.discoReceived, 5);
});

Deno.test("RelayServer tells those who heard from a key that it left, each time", async () => {
  await using setup = new Setup();
  const [a, b] = [await setup.client(), await setup.client()];
  const key = generatePrivateKey();
  for (let round = 0; round < 2; round++) {
    const source = await setup.client(Infinity, key);
    await source.send(encodeSendPacket(b.publicKey, bytes("x")));
    await b.expect(FrameType.RecvPacket);
    source.close();
    const payload = await b.expect(FrameType.PeerGone);
    assert.deepEqual(payload.subarray(0, 32), source.publicKey);
    assert.equal(payload[32], PeerGoneReason.Disconnected);
  }
  await a.send(encodePing(new Uint8Array(8)));
  await a.expect(FrameType.Pong); // Nothing else came to one who heard nothing.
});

Deno.test("RelayServer says gone only when the last connection of a key ends", async () => {
  await using setup = new Setup();
  const b = await setup.client();
  const key = generatePrivateKey();
  const [one, two] = [await setup.client(Infinity, key), await setup.client(Infinity, key)];
  await one.send(encodeSendPacket(b.publicKey, bytes("x")));
  await b.expect(FrameType.RecvPacket);
  one.close();
  await two.send(encodeSendPacket(b.publicKey, bytes("y")));
  await b.expect(FrameType.RecvPacket);
  two.close();
  await b.expect(FrameType.PeerGone);
  assert.equal(setup.relay.counters.peerGoneDisconnected, 1);
});

Deno.test("RelayServer counts homes, and a closed one no more", async () => {
  await using setup = new Setup();
  const { counters } = setup.relay;
  const a = await setup.client();
  const sync = async () => {
    await a.send(encodePing(new Uint8Array(8)));
    await a.expect(FrameType.Pong);
  };
  await a.send(concat([encodeNotePreferred(true), encodeNotePreferred(true)]));
  await sync();
  assert.equal(counters.currentHome, 1);
  a.close();
  while (counters.currentConnections > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(counters.currentHome, 0);
});

Deno.test("RelayServer counts a move for what a client says, and none for its leaving", async () => {
  await using setup = new Setup({ settleMs: 0 });
  const { counters } = setup.relay;
  const a = await setup.client();
  for (const home of [true, false, true]) await a.send(encodeNotePreferred(home));
  await a.send(encodePing(new Uint8Array(8)));
  await a.expect(FrameType.Pong);
  assert.deepEqual([counters.homeMovesIn, counters.homeMovesOut, counters.currentHome], [2, 1, 1]);
  a.close();
  while (counters.currentConnections > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual([counters.homeMovesIn, counters.homeMovesOut, counters.currentHome], [2, 1, 0]);
});

Deno.test("RelayServer answers every ping of a burst", async () => {
  await using setup = new Setup();
  const a = await setup.client();
  const ping = (i: number) => encodePing(new Uint8Array(8).fill(i));
  const pings = Array.from({ length: 100 }, (_, i) => ping(i));
  const burst = new Uint8Array(pings.length * pings[0]!.length);
  pings.forEach((frame, i) => burst.set(frame, i * frame.length));
  await a.send(burst);
  for (let i = 0; i < pings.length; i++) {
    assert.deepEqual(await a.expect(FrameType.Pong), new Uint8Array(8).fill(i));
  }
});

Deno.test("RelayServer sends keep-alives", async () => {
  await using setup = new Setup({ keepAliveMs: 30, keepAliveJitterMs: 5 });
  const a = await setup.client();
  assert.equal((await a.expect(FrameType.KeepAlive)).length, 0);
  await a.expect(FrameType.KeepAlive);
});

Deno.test("RelayServer counts WireGuard message types by their clear first bytes", async () => {
  await using setup = new Setup();
  const a = await setup.client();
  for (const head of [[1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0], [4, 0, 0, 0], [4, 0, 1, 0], []]) {
    await a.send(encodeSendPacket(a.publicKey, new Uint8Array(head)));
    await a.expect(FrameType.RecvPacket);
  }
  assert.deepEqual([...setup.relay.counters.wireguard], [2, 1, 1, 1, 1]);
});

Deno.test("RelayServer tells its clients before it stops", async () => {
  const setup = new Setup();
  const a = await setup.client();
  const closed = setup.relay.close();
  assert.equal((await a.expect(FrameType.Restarting)).length, 8);
  assert.equal(await a.next(), undefined);
  await closed;
});

Deno.test("RelayServer ends logins that are under way when it stops, and takes no more", async () => {
  const setup = new Setup();
  const client = setup.open();
  await client.expect(FrameType.ServerKey);
  await setup.relay.close();
  assert.equal(await client.next(), undefined);
  assert.equal(await setup.open().next(), undefined);
});

Deno.test("RelayServer serves others while one client sends without end", async () => {
  await using setup = new Setup();
  const [flooder, a, b] = [await setup.client(), await setup.client(), await setup.client()];
  // From now on each read finds data at once, as from a socket that is full all the time.
  const socket = (flooder.socket as MemorySocket).other;
  const frame = encodeSendPacket(b.publicKey, new Uint8Array(1312));
  let endless = true;
  let at = 0;
  socket.read = (buffer) => {
    if (!endless) return Promise.resolve(null);
    for (let i = 0; i < buffer.length; i++) buffer[i] = frame[at++ % frame.length]!;
    return Promise.resolve(buffer.length);
  };
  // Ends the read that waits on the socket as it was.
  await flooder.send(encodePing(new Uint8Array(8)));
  for (let i = 0; i < 20; i++) {
    await a.send(encodePing(new Uint8Array(8).fill(i)));
    assert.deepEqual(await a.expect(FrameType.Pong), new Uint8Array(8).fill(i));
    await b.expect(FrameType.RecvPacket);
  }
  endless = false;
});
