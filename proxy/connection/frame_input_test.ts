import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import {
  DerpError,
  encodeHealth,
  encodeKeepAlive,
  encodePing,
  encodeRecvPacket,
  FrameReader,
  FrameType,
  MAX_FRAME,
} from "../../relay/derp/mod.ts";
import { FrameInput } from "./frame_input.ts";

const key = new Uint8Array(32).map((_, i) => i + 1);

function frame(type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + payload.length);
  bytes[0] = type;
  new DataView(bytes.buffer).setUint32(1, payload.length);
  bytes.set(payload, 5);
  return bytes;
}

function join(parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Feeds bytes in pieces; returns what came out, in the shape the simple reader gives. */
function read(stream: Uint8Array, pieces: number[]) {
  const got: { type: number; payload: Uint8Array }[] = [];
  let fresh: { type: number; payload: Uint8Array }[] = [];
  const input = new FrameInput({
    packet: (buf, key, offset, length) => {
      assert.equal(offset, key + 32);
      // A view, not a copy: the packets of a read must all be good until the next one.
      fresh.push({ type: FrameType.RecvPacket, payload: buf.subarray(key, offset + length) });
    },
    frame: (type, payload) => fresh.push({ type, payload: payload.slice() }),
  });
  let at = 0;
  for (let i = 0; at < stream.length; i++) {
    const space = input.space();
    assert(space.length >= 4096, "no room to read");
    const piece = Math.min(pieces[i % pieces.length]!, stream.length - at, space.length);
    space.set(stream.subarray(at, at + piece));
    input.filled(piece);
    at += piece;
    input.walk();
    for (const { type, payload } of fresh) got.push({ type, payload: payload.slice() });
    fresh = [];
  }
  return { got, malformed: input.malformed };
}

Deno.test("frame input gives the same frames as the simple reader for any split", () => {
  const anyFrame = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.uint8Array({ maxLength: 1500 }).map((p) => encodeRecvPacket(key, p)),
    },
    fc.constant(encodeKeepAlive()),
    fc.constant(encodePing(new Uint8Array(8).fill(3))),
    fc.string({ maxLength: 50 }).map(encodeHealth),
    fc.integer({ min: 0, max: 65_536 }).map((n) =>
      encodeRecvPacket(key, new Uint8Array(n).fill(n))
    ),
  );
  fc.assert(
    fc.property(
      fc.array(anyFrame, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 6 }),
      (frames, pieces) => {
        const stream = join(frames);
        if (pieces.every((n) => n < 100) && stream.length > 10_000) pieces = [1500];
        const reader = new FrameReader(MAX_FRAME);
        reader.push(stream);
        const expected: { type: number; payload: Uint8Array }[] = [];
        for (let f = reader.next(); f !== undefined; f = reader.next()) {
          expected.push({ type: f.type, payload: f.payload.slice() });
        }
        const { got, malformed } = read(stream, pieces);
        assert.equal(malformed, 0);
        assert.equal(got.length, expected.length);
        got.forEach((g, i) => {
          assert.equal(g.type, expected[i]!.type);
          assert.equal(Buffer.compare(g.payload, expected[i]!.payload), 0);
        });
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("frame input skips unknown and overlong frames and goes on behind them", () => {
  const stream = join([
    frame(0x7f, new Uint8Array(300_000)),
    encodeRecvPacket(key, Uint8Array.of(1)),
    frame(FrameType.Health, new Uint8Array(1_000_000)),
    frame(FrameType.RecvPacket, new Uint8Array(31)),
    frame(FrameType.RecvPacket, new Uint8Array(65_569)),
    frame(0xff, new Uint8Array(0)),
    encodeRecvPacket(key, Uint8Array.of(2)),
  ]);
  for (const piece of [1, 7, 16_384, 200_000]) {
    const { got, malformed } = read(stream, [piece === 1 ? 4096 : piece, piece * 3]);
    assert.deepEqual(got.map((f) => f.payload.at(-1)), [1, 2]);
    assert.equal(malformed, 2);
  }
});

Deno.test("frame input throws when a frame is longer than the protocol allows", () => {
  for (const type of [0x05, 0x14, 0x7f]) {
    const head = frame(type, new Uint8Array());
    new DataView(head.buffer).setUint32(1, MAX_FRAME + 1);
    assert.throws(() => read(head, [5]), DerpError);
  }
});

Deno.test("frame input takes an HTTP head and leaves what follows", () => {
  const got: number[] = [];
  const input = new FrameInput({ packet: () => {}, frame: (type) => void got.push(type) });
  const feed = (bytes: Uint8Array) => {
    input.space().set(bytes);
    input.filled(bytes.length);
  };
  const text = new TextEncoder();
  feed(text.encode("HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n\r"));
  assert.equal(input.takeHead(), undefined);
  feed(join([text.encode("\n"), encodeKeepAlive()]));
  assert.match(input.takeHead()!, /^HTTP\/1\.1 101 .*\r\n\r\n$/s);
  input.walk();
  assert.deepEqual(got, [FrameType.KeepAlive]);
});

Deno.test("frame input throws when an HTTP head does not end", () => {
  const input = new FrameInput({ packet: () => {}, frame: () => {} });
  input.space().fill(65, 0, 17_000);
  input.filled(17_000);
  assert.throws(() => input.takeHead(), DerpError);
});

Deno.test("frame input throws nothing but the protocol's error for any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
    try {
      read(bytes, [bytes.length || 1]);
    } catch (error) {
      assert(error instanceof DerpError);
    }
  }));
});
