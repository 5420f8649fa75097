import { deepEqual, equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { loadHandshake } from "../../tests/vectors/mod.ts";
import * as derp from "./mod.ts";
import { DerpError, FrameReader, FrameType, HEADER_LENGTH } from "./mod.ts";

const vectors = loadHandshake();
const bytes = (hex: string) => Uint8Array.fromHex(hex);
const publicKey = (name: string) => bytes(vectors.keys[name]!.publicRaw);
const hex = (name: string) => vectors.frames.find((frame) => frame.name === name)!.hex;
const payload = (name: string) => bytes(hex(name)).subarray(HEADER_LENGTH);
const A = publicKey("clientA");
const B = publicKey("clientB");
const HELLO = new TextEncoder().encode("hello 0->1\n");

Deno.test("the constants equal the vectors when compared", () => {
  equal(derp.PROTOCOL_VERSION, vectors.protocolVersion);
  equal(derp.MAGIC.toHex(), vectors.magicHex);
  equal(derp.DISCO_MAGIC.toHex(), vectors.discoMagicHex);
});

Deno.test("a frame header round-trips when lengths use all 32 bits", () => {
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 255 }),
    fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    fc.integer({ min: 0, max: 9 }),
    (type, length, offset) => {
      const buf = new Uint8Array(16);
      equal(derp.writeHeader(buf, offset, type, length), offset + HEADER_LENGTH);
      equal(buf[offset], type);
      equal(derp.payloadLength(buf, offset), length);
      equal(new DataView(buf.buffer).getUint32(offset + 1), length);
    },
  ));
});

Deno.test("every vector frame has the type and length it names when read", () => {
  for (const frame of vectors.frames) {
    const reader = new FrameReader(derp.MAX_FRAME);
    reader.push(bytes(frame.hex));
    const read = reader.next()!;
    equal(read.type, parseInt(frame.type, 16), frame.name);
    equal(read.payload.length, frame.payloadLen, frame.name);
    equal(reader.buffered, 0, frame.name);
  }
});

Deno.test("the encoders give the vectors' bytes when given the vectors' values", () => {
  const ping = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const built: Record<string, Uint8Array> = {
    server_key: derp.encodeServerKey(publicKey("server")),
    send_packet_A_to_B: derp.encodeSendPacket(B, HELLO),
    recv_packet_B_from_A: derp.encodeRecvPacket(A, HELLO),
    forward_packet_A_to_B: derp.encodeForwardPacket(A, B, HELLO),
    send_packet_empty: derp.encodeSendPacket(B, new Uint8Array()),
    keep_alive: derp.encodeKeepAlive(),
    note_preferred_true: derp.encodeNotePreferred(true),
    note_preferred_false: derp.encodeNotePreferred(false),
    peer_gone_disconnected_A: derp.encodePeerGone(A, derp.PeerGoneReason.Disconnected),
    peer_gone_not_here_B: derp.encodePeerGone(B, derp.PeerGoneReason.NotHere),
    peer_present_A_ipv4_regular: derp.encodePeerPresent({
      key: A,
      address: "203.0.113.7",
      port: 41641,
      flags: derp.PeerPresentFlag.Regular,
    }),
    peer_present_serverPeer_ipv6_mesh: derp.encodePeerPresent({
      key: publicKey("serverPeer"),
      address: "2001:db8::7",
      port: 443,
      flags: derp.PeerPresentFlag.Mesh,
    }),
    peer_present_A_no_addr_prober_notideal: derp.encodePeerPresent({
      key: A,
      flags: derp.PeerPresentFlag.Prober | derp.PeerPresentFlag.NotIdeal,
    }),
    watch_conns: derp.encodeWatchConns(),
    close_peer_A: derp.encodeClosePeer(A),
    ping: derp.encodePing(ping),
    pong: derp.encodePong(ping),
    health_bad: derp.encodeHealth("BAD"),
    health_ok: derp.encodeHealth(""),
    restarting_1ms_2ms: derp.encodeRestarting(1, 2),
  };
  for (const [name, frame] of Object.entries(built)) equal(frame.toHex(), hex(name), name);
});

Deno.test("the decoders give the vectors' values when given the vectors' bytes", () => {
  deepEqual(derp.decodeServerKey(payload("server_key")), publicKey("server"));
  deepEqual(derp.decodeServerKey(payload("server_key_with_future_bytes")), publicKey("server"));
  deepEqual(derp.decodePacket(payload("send_packet_A_to_B")), { key: B, packet: HELLO });
  deepEqual(derp.decodePacket(payload("recv_packet_B_from_A")), { key: A, packet: HELLO });
  deepEqual(derp.decodePacket(payload("send_packet_empty")).packet.length, 0);
  deepEqual(derp.decodeForwardPacket(payload("forward_packet_A_to_B")), {
    source: A,
    destination: B,
    packet: HELLO,
  });
  equal(derp.decodeNotePreferred(payload("note_preferred_true")), true);
  equal(derp.decodeNotePreferred(payload("note_preferred_false")), false);
  equal(derp.decodeNotePreferred(Uint8Array.of(7)), true);
  deepEqual(derp.decodePeerGone(payload("peer_gone_disconnected_A")), { key: A, reason: 0 });
  deepEqual(derp.decodePeerGone(payload("peer_gone_not_here_B")), { key: B, reason: 1 });
  deepEqual(derp.decodePeerGone(payload("peer_gone_legacy_no_reason")), { key: A, reason: 0 });
  const seen = { address: "203.0.113.7", port: 41641 };
  deepEqual(derp.decodePeerPresent(payload("peer_present_A_ipv4_regular")), {
    key: A,
    ...seen,
    flags: 1,
  });
  deepEqual(derp.decodePeerPresent(payload("peer_present_serverPeer_ipv6_mesh")), {
    key: publicKey("serverPeer"),
    address: "2001:db8::7",
    port: 443,
    flags: 2,
  });
  deepEqual(derp.decodePeerPresent(payload("peer_present_A_no_addr_prober_notideal")), {
    key: A,
    flags: 12,
  });
  deepEqual(derp.decodePeerPresent(payload("peer_present_v1_58_layout")), { key: A, ...seen });
  deepEqual(derp.decodePeerPresent(A), { key: A });
  deepEqual(derp.decodeClosePeer(payload("close_peer_A")), A);
  equal(derp.decodePing(payload("ping_long")).toHex(), "0102030405060708");
  equal(derp.decodeHealth(payload("health_bad")), "BAD");
  equal(derp.decodeHealth(payload("health_ok")), "");
  deepEqual(derp.decodeRestarting(payload("restarting_1ms_2ms")), { reconnectMs: 1, tryMs: 2 });
});

Deno.test("a packet counts as disco when it has the magic and 62 bytes", () => {
  const at = HEADER_LENGTH + derp.KEY_LENGTH;
  const disco = bytes(hex("send_packet_disco_min_62"));
  const short = bytes(hex("send_packet_not_disco_61"));
  equal(derp.isDisco(disco, at, disco.length - at), true);
  equal(derp.isDisco(short, at, short.length - at), false);
  for (let i = 0; i < derp.DISCO_MAGIC.length; i++) {
    const altered = disco.slice();
    altered[at + i]! ^= 1;
    equal(derp.isDisco(altered, at, altered.length - at), false);
  }
});

Deno.test("PeerPresent addresses round-trip when they are IP addresses", () => {
  fc.assert(fc.property(fc.ipV4(), fc.integer({ min: 1, max: 65535 }), (address, port) => {
    const frame = derp.encodePeerPresent({ key: A, address, port });
    deepEqual(derp.decodePeerPresent(frame.subarray(5)), { key: A, address, port, flags: 0 });
  }));
  fc.assert(fc.property(fc.ipV6(), (address) => {
    const first = derp.encodePeerPresent({ key: A, address, port: 1 });
    const canonical = derp.decodePeerPresent(first.subarray(5)).address!;
    const second = derp.encodePeerPresent({ key: A, address: canonical, port: 1 });
    deepEqual(second, first, `${address} became ${canonical}`);
    const host = new URL(`http://[${address}]/`).hostname.slice(1, -1);
    if (canonical.includes(":")) equal(canonical, host);
  }));
  for (
    const bad of ["", "localhost", "1.2.3", "1.2.3.256", "01.2.3.4", "1::2::3", "1:2:3:4:5:6:7"]
  ) {
    throws(() => derp.encodePeerPresent({ key: A, address: bad, port: 1 }), DerpError, bad);
  }
});

Deno.test("the encoders refuse keys, pings and packets when their size is wrong", () => {
  const short = new Uint8Array(31);
  const long = new Uint8Array(derp.MAX_PACKET + 1);
  for (
    const build of [
      () => derp.encodeServerKey(short),
      () => derp.encodePeerGone(short, 0),
      () => derp.encodePeerPresent({ key: short }),
      () => derp.encodeClosePeer(short),
      () => derp.encodeSendPacket(A, long),
      () => derp.encodeRecvPacket(A, long),
      () => derp.encodeForwardPacket(A, B, long),
      () => derp.encodeForwardPacket(A, short, HELLO),
      () => derp.encodePing(new Uint8Array(7)),
      () => derp.encodePong(new Uint8Array(9)),
    ]
  ) throws(build, DerpError);
  equal(derp.encodeSendPacket(A, long.subarray(1)).length, HEADER_LENGTH + 32 + derp.MAX_PACKET);
});

Deno.test("the decoders throw nothing but DerpError when given arbitrary bytes", () => {
  const decoders = [
    derp.decodeServerKey,
    derp.decodeNotePreferred,
    derp.decodePeerGone,
    derp.decodePing,
    derp.decodePacket,
    derp.decodeForwardPacket,
    derp.decodeClosePeer,
    derp.decodeHealth,
    derp.decodeRestarting,
    derp.decodePeerPresent,
  ];
  fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), (input) => {
    for (const decode of decoders) onlyDerpError(() => decode(input));
  }));
});

Deno.test("a stream gives the same frames when it is cut anywhere", () => {
  const frame = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 300 }));
  fc.assert(fc.property(
    fc.array(frame, { maxLength: 12 }),
    fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 40 }),
    (frames, sizes) => {
      const stream = concat(frames.map(([type, data]) => derp.encodeFrame(type, data)));
      const reader = new FrameReader(300);
      const read: [number, Uint8Array][] = [];
      for (let offset = 0, i = 0; offset < stream.length; i++) {
        const end = offset + sizes[i % sizes.length]!;
        const chunk = stream.slice(offset, end);
        reader.push(chunk);
        chunk.fill(0xee); // the reader must not have kept the caller's memory
        offset = end;
        for (let next = reader.next(); next; next = reader.next()) {
          read.push([next.type, next.payload]);
        }
      }
      deepEqual(read, frames);
      equal(reader.buffered, 0);
    },
  ));
});

Deno.test("the reader throws nothing but DerpError and holds no more than it got when fed noise", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => {
    const reader = new FrameReader(100);
    let got = 0;
    onlyDerpError(() => {
      for (const chunk of chunks) {
        reader.push(chunk);
        got += chunk.length;
        for (let next = reader.next(); next; next = reader.next()) {
          got -= HEADER_LENGTH + next.payload.length;
        }
        equal(reader.buffered, got);
      }
    });
  }));
});

Deno.test("the reader refuses a frame on its header alone when it is too long", () => {
  const reader = new FrameReader(derp.MAX_CLIENT_INFO);
  reader.push(derp.encodeKeepAlive());
  reader.push(Uint8Array.of(FrameType.ClientInfo, 0, 4, 0, 1));
  equal(reader.next()!.type, FrameType.KeepAlive);
  throws(() => reader.next(), /262145 bytes, more than 262144/);
  throws(() => reader.next(), DerpError);
});

Deno.test("the reader hands over what it has not read when asked for the rest", () => {
  const reader = new FrameReader(100);
  reader.push(concat([derp.encodeKeepAlive(), Uint8Array.of(4, 0, 0)]));
  reader.next();
  equal(reader.rest().toHex(), "040000");
  equal(reader.buffered, 0);
  equal(reader.next(), undefined);
});

Deno.test("the HTTP heads equal the vectors when built", () => {
  const text = (head: Uint8Array) => new TextDecoder().decode(head);
  const host = "derp.example.com";
  equal(text(derp.upgradeRequest(host)), vectors.http.request_plain_upgrade);
  equal(
    text(derp.upgradeRequest(host, { fastStart: true, idealNode: "900a" })),
    vectors.http.request_fast_start_second_choice_node,
  );
  equal(text(derp.upgradeResponse(publicKey("server"))), vectors.http.response_101);
  for (const evil of ["", "a b", "a\r\nX: y", "ä"]) {
    throws(() => derp.upgradeRequest(evil), DerpError);
    throws(() => derp.upgradeRequest(host, { path: evil }), DerpError);
    if (evil) throws(() => derp.upgradeRequest(host, { idealNode: evil }), DerpError);
  }
});

function onlyDerpError(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof DerpError)) throw error;
  }
}

function concat(parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
