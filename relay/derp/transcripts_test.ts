import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { loadRecording, type RecordedConnection } from "../../tests/vectors/mod.ts";
import * as derp from "./mod.ts";
import { BoxKey, DerpError, type Frame, FrameReader, FrameType } from "./mod.ts";

const recording = loadRecording();
const latin1 = new TextDecoder("latin1");
const SERVER = Uint8Array.fromHex(recording.keys["server"]!.private);
const SERVER_PUBLIC = Uint8Array.fromHex(recording.keys["server"]!.public);

/** All that one side of a connection said. */
function said(connection: RecordedConnection, from: "client" | "server"): Uint8Array {
  const hex = connection.events.filter((event) => event.from === from).map((e) => e.hex ?? "");
  return Uint8Array.fromHex(hex.join(""));
}

/** Splits a stream at the first blank line; no head when it does not start with one. */
function splitHead(stream: Uint8Array): { head: string; rest: Uint8Array } {
  const text = latin1.decode(stream);
  if (!/^(GET|HTTP)/.test(text)) return { head: "", rest: stream };
  const end = text.indexOf("\r\n\r\n") + 4;
  return { head: text.slice(0, end), rest: stream.subarray(end) };
}

/** Cuts a stream into frames, pushed in pieces of seven bytes. */
function frames(stream: Uint8Array, maxPayload: number): { frames: Frame[]; left: number } {
  const reader = new FrameReader(maxPayload);
  const found: Frame[] = [];
  for (let offset = 0; offset < stream.length; offset += 7) {
    reader.push(stream.subarray(offset, offset + 7));
    for (let frame = reader.next(); frame; frame = reader.next()) found.push(frame);
  }
  return { frames: found, left: reader.buffered };
}

/** Joins the payloads of WebSocket frames, unmasked (RFC 6455 section 5.2), binary ones only. */
function unwrap(stream: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at < stream.length;) {
    const opcode = stream[at]! & 0x0f;
    const masked = (stream[at + 1]! & 0x80) !== 0;
    let length = stream[at + 1]! & 0x7f;
    at += 2;
    ok(length < 127, "longer messages were not recorded");
    if (length === 126) {
      length = stream[at]! << 8 | stream[at + 1]!;
      at += 2;
    }
    const mask = masked ? stream.subarray(at, at + 4) : new Uint8Array(4);
    if (masked) at += 4;
    for (let i = 0; i < length; i++) {
      if (opcode === 2) out.push(stream[at + i]! ^ mask[i & 3]!);
    }
    at += length;
  }
  return Uint8Array.from(out);
}

/** Reads a frame's payload with the decoder of its type; unknown types are left alone. */
function decode({ type, payload }: Frame): unknown {
  switch (type) {
    case FrameType.SendPacket:
    case FrameType.RecvPacket:
      return derp.decodePacket(payload);
    case FrameType.ForwardPacket:
      return derp.decodeForwardPacket(payload);
    case FrameType.NotePreferred:
      return derp.decodeNotePreferred(payload);
    case FrameType.PeerGone:
      return derp.decodePeerGone(payload);
    case FrameType.PeerPresent:
      return derp.decodePeerPresent(payload);
    case FrameType.ClosePeer:
      return derp.decodeClosePeer(payload);
    case FrameType.Ping:
    case FrameType.Pong:
      return derp.decodePing(payload);
    default:
      return payload;
  }
}

/** A recorded connection, decoded and checked as far as every good login goes. */
function replay(connection: RecordedConnection) {
  const client = splitHead(said(connection, "client"));
  const server = splitHead(said(connection, "server"));
  const webSocket = /^Sec-WebSocket-Key:/mi.test(client.head);
  const up = frames(webSocket ? unwrap(client.rest) : client.rest, derp.MAX_CLIENT_INFO);
  const down = frames(webSocket ? unwrap(server.rest) : server.rest, derp.MAX_FRAME);
  deepEqual([up.left, down.left], [0, 0], "whole frames only");

  match(client.head, /^GET \/derp HTTP\/1\.1\r\n/);
  const fastStart = client.head.includes("Derp-Fast-Start: 1");
  if (fastStart) equal(server.head, "");
  else if (!webSocket) equal(server.head, latin1.decode(derp.upgradeResponse(SERVER_PUBLIC)));

  equal(down.frames[0]!.type, FrameType.ServerKey);
  deepEqual(derp.decodeServerKey(down.frames[0]!.payload), SERVER_PUBLIC);
  equal(up.frames[0]!.type, FrameType.ClientInfo);
  const login = derp.openClientInfo(SERVER, up.frames[0]!.payload);
  const owner = Object.values(recording.keys).find((key) =>
    key.public === login.publicKey.toHex()
  )!;
  const own = Uint8Array.fromHex(owner.private);
  equal(down.frames[1]!.type, FrameType.ServerInfo);
  const info = derp.openServerInfo(new BoxKey(own, SERVER_PUBLIC), down.frames[1]!.payload);
  deepEqual(info, { version: 2 });
  deepEqual(derp.openServerInfo(login.box, down.frames[1]!.payload), info, "one key both ways");
  return {
    key: owner.public,
    info: login.info,
    head: client.head,
    sent: up.frames.slice(1),
    received: down.frames.slice(2),
  };
}

const transcript = (name: string) =>
  recording.transcripts.find((entry) => entry.name === name)!.connections;
const packets = (list: Frame[], type: number) =>
  list.filter((frame) => frame.type === type).map(({ payload }) => derp.decodePacket(payload));

Deno.test("every recorded login opens and every frame decodes when replayed", () => {
  let connections = 0;
  for (const { name, connections: list } of recording.transcripts) {
    if (name === "refused" || name === "login-silence") continue;
    for (const connection of list) {
      const { sent, received } = replay(connection);
      for (const frame of [...sent, ...received]) decode(frame);
      for (const frame of received) {
        ok(Object.values<number>(FrameType).includes(frame.type), `${name}: ${frame.type}`);
      }
      connections++;
    }
  }
  equal(connections, 24);
});

Deno.test("our request heads equal the recorded client's when built for its relay", () => {
  for (const [name, fastStart] of [["login-normal", false], ["login-fast-start", true]] as const) {
    const { head } = replay(transcript(name)[0]!);
    const host = /\r\nHost: ([^\r]+)/.exec(head)![1]!;
    equal(latin1.decode(derp.upgradeRequest(host, { fastStart })), head);
  }
});

Deno.test("our logins say what the recorded clients said when given the same facts", () => {
  const a = replay(transcript("login-fast-start")[0]!).info;
  deepEqual(a, { version: 2, canAckPings: false });
  deepEqual(replay(transcript("login-prober")[0]!).info, {
    version: 2,
    canAckPings: true,
    isProber: true,
  });
  const { info: mesh, sent } = replay(transcript("mesh-watch")[0]!);
  equal(mesh.meshKey, recording.meshKeyHex);
  equal(sent[0]!.type, FrameType.WatchConns);
});

Deno.test("the recorded refusals are refused by us when replayed", () => {
  const connections = transcript("refused");
  const refusals = connections.map((connection) => {
    const { rest } = splitHead(said(connection, "client"));
    return () => {
      const { frames: list } = frames(rest, derp.MAX_CLIENT_INFO);
      if (list[0]!.type !== FrameType.ClientInfo) throw new DerpError("not a ClientInfo");
      const { info } = derp.openClientInfo(SERVER, list[0]!.payload);
      for (const frame of list.slice(1)) decode(frame);
      return { info, types: list.map((frame) => frame.type) };
    };
  });
  equal(refusals.length, 6);
  throws(refusals[0]!, /not a ClientInfo/);
  throws(refusals[1]!, /Cannot open box/);
  throws(refusals[2]!, /262145 bytes/);
  throws(refusals[3]!, /meshKey/);
  throws(refusals[4]!, /too few/);
  const watcher = refusals[5]!();
  equal(watcher.info.meshKey, undefined, "the frame is fine, the right to send it is missing");
  deepEqual(watcher.types, [FrameType.ClientInfo, FrameType.WatchConns]);
});

Deno.test("a recorded SendPacket is the RecvPacket of its receiver when type and key are replaced", () => {
  const [a, b] = transcript("relay").map(replay);
  const toB = packets(a!.sent, FrameType.SendPacket).filter(({ key }) => key.toHex() === b!.key);
  const fromA = packets(b!.received, FrameType.RecvPacket);
  equal(fromA.length, 3);
  deepEqual(fromA.map(({ packet }) => packet), toB.map(({ packet }) => packet));
  for (const { key, packet } of fromA) {
    equal(key.toHex(), a!.key);
    const destination = Uint8Array.fromHex(b!.key);
    const frame = derp.encodeSendPacket(destination, packet);
    frame[0] = FrameType.RecvPacket;
    frame.set(key, derp.HEADER_LENGTH);
    deepEqual(frame, derp.encodeRecvPacket(key, packet));
  }
});

Deno.test("PeerPresent names the recorded address and kind of each client when one is watched", () => {
  const connections = transcript("mesh-watch");
  const watcher = replay(connections[0]!);
  const seen = watcher.received.filter(({ type }) => type === FrameType.PeerPresent)
    .map(({ payload }) => derp.decodePeerPresent(payload));
  const flagsOf: Record<string, number> = { W: 2, A1: 1, B: 4 | 8, A2: 1 };
  for (const connection of connections) {
    const { key } = replay(connection);
    const present = seen.find((peer) =>
      `${peer.address}:${peer.port}` === connection.addressSeenByRelay
    )!;
    equal(present.key.toHex(), key, connection.who);
    equal(present.flags, flagsOf[connection.who], connection.who);
  }
});
