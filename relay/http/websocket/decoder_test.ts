import assert from "node:assert/strict";
import fc from "fast-check";
import { CloseCode, FrameDecoder, MAX_MESSAGE, Opcode } from "./decoder.ts";
import { clientFrame } from "./testing.ts";

const concat = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

/** Feeds a decoder in the given pieces, each at an offset of its own in a larger buffer. */
function decode(decoder: FrameDecoder, pieces: Uint8Array[]): Uint8Array {
  return concat(...pieces.map((piece, i) => {
    const room = new Uint8Array(piece.length + 7).subarray(i % 7);
    room.set(piece);
    return room.slice(0, decoder.decode(room, piece.length));
  }));
}

function cut(bytes: Uint8Array, at: number[]): Uint8Array[] {
  const edges = [0, ...at.map((n) => n % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge));
}

const message = fc.record({
  fragments: fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 4 }),
  ping: fc.option(fc.uint8Array({ maxLength: 125 })),
  mask: fc.uint8Array({ minLength: 4, maxLength: 4 }),
});

Deno.test("FrameDecoder gives the same stream however frames and reads are cut", () => {
  const cuts = fc.array(fc.nat(5000), { maxLength: 30 });
  fc.assert(fc.property(fc.array(message, { maxLength: 6 }), cuts, (messages, at) => {
    const wire: Uint8Array[] = [];
    let lastPing: Uint8Array | undefined;
    for (const { fragments, ping, mask } of messages) {
      fragments.forEach((fragment, i) => {
        const opcode = i === 0 ? Opcode.Binary : Opcode.Continuation;
        wire.push(clientFrame(opcode, fragment, { fin: i === fragments.length - 1, mask }));
        // Control frames may stand between the fragments of a message.
        if (i === 0 && ping !== null) {
          wire.push(clientFrame(Opcode.Ping, lastPing = ping, { mask }));
        }
      });
    }
    const decoder = new FrameDecoder();
    const stream = decode(decoder, cut(concat(...wire), at));
    assert.deepEqual(stream, concat(...messages.flatMap(({ fragments }) => fragments)));
    assert.deepEqual(decoder.ping, lastPing);
    assert.equal(decoder.over, false);
  }));
});

Deno.test("FrameDecoder undoes every mask at every place in memory", () => {
  for (const length of [0, 1, 63, 64, 65, 66, 67, 125, 126, 127, 4096, 4099, MAX_MESSAGE]) {
    for (const offset of [0, 1, 2, 3]) {
      const payload = crypto.getRandomValues(new Uint8Array(length));
      const wire = clientFrame(Opcode.Binary, payload, { mask: Uint8Array.of(1, 0x80, 0xff, 7) });
      const room = new Uint8Array(wire.length + 4).subarray(offset);
      room.set(wire);
      const n = new FrameDecoder().decode(room, wire.length);
      assert.deepEqual(room.slice(0, n), payload);
    }
  }
});

Deno.test("FrameDecoder sums a message's fragments", () => {
  const half = new Uint8Array(MAX_MESSAGE / 2);
  const whole = [
    clientFrame(Opcode.Binary, half, { fin: false }),
    clientFrame(Opcode.Ping, new Uint8Array(125)),
    clientFrame(Opcode.Continuation, half, { fin: false }),
  ];
  const fits = new FrameDecoder();
  const end = clientFrame(Opcode.Continuation, new Uint8Array(0));
  const next = clientFrame(Opcode.Binary, half);
  assert.equal(decode(fits, [...whole, end, next]).length, 3 * half.length);
  assert.equal(fits.failure, 0);
  const over = new FrameDecoder();
  const stream = decode(over, [...whole, clientFrame(Opcode.Continuation, Uint8Array.of(1))]);
  assert.equal(stream.length, MAX_MESSAGE, "what came before is not lost");
  assert.equal(over.failure, CloseCode.MessageTooBig);
});

Deno.test("FrameDecoder refuses what RFC 6455 forbids, at the first byte that shows it", () => {
  const huge = concat(Uint8Array.of(0x82, 0xff, 0xff), new Uint8Array(7).fill(0xff));
  const bad: [string, Uint8Array, number][] = [
    ["not masked", Uint8Array.of(0x82, 0x01), CloseCode.ProtocolError],
    ["reserved bit", Uint8Array.of(0xc2), CloseCode.ProtocolError],
    ["reserved opcode", Uint8Array.of(0x83), CloseCode.ProtocolError],
    ["reserved control opcode", Uint8Array.of(0x8b), CloseCode.ProtocolError],
    ["fragmented ping", Uint8Array.of(0x09), CloseCode.ProtocolError],
    ["long ping", Uint8Array.of(0x89, 0xfe), CloseCode.ProtocolError],
    ["stray continuation", Uint8Array.of(0x80), CloseCode.ProtocolError],
    ["text", Uint8Array.of(0x81), CloseCode.UnsupportedData],
    ["huge message", huge, CloseCode.MessageTooBig],
    [
      "message within a message",
      concat(clientFrame(Opcode.Binary, Uint8Array.of(1), { fin: false }), Uint8Array.of(0x82)),
      CloseCode.ProtocolError,
    ],
    ["close of one byte", clientFrame(Opcode.Close, Uint8Array.of(3)), CloseCode.ProtocolError],
    ["close 1005", clientFrame(Opcode.Close, Uint8Array.of(3, 0xed)), CloseCode.ProtocolError],
    ["close 999", clientFrame(Opcode.Close, Uint8Array.of(3, 0xe7)), CloseCode.ProtocolError],
  ];
  for (const [name, wire, code] of bad) {
    const decoder = new FrameDecoder();
    decode(decoder, [wire, clientFrame(Opcode.Binary, Uint8Array.of(1))]);
    assert.equal(decoder.failure, code, name);
    const early = new FrameDecoder();
    decode(early, [wire.subarray(0, -1)]);
    assert.equal(early.failure, 0, `${name}: not before its last byte`);
  }
});

Deno.test("FrameDecoder takes close frames with and without a code", () => {
  for (const [payload, code] of [[[], 0], [[3, 0xe8], 1000], [[3, 0xe9, 0x62], 1001]] as const) {
    const decoder = new FrameDecoder();
    const behind = clientFrame(Opcode.Binary, Uint8Array.of(9));
    const stream = decode(decoder, [clientFrame(Opcode.Close, Uint8Array.from(payload)), behind]);
    assert.equal(decoder.closed, true);
    assert.equal(decoder.closeCode, code);
    assert.equal(stream.length, 0, "nothing behind it is read");
  }
});

Deno.test("FrameDecoder throws nothing for any bytes, and never gives more than it took", () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 });
  fc.assert(fc.property(pieces, (list) => {
    const decoder = new FrameDecoder();
    for (const piece of list) {
      const n = decoder.decode(piece.slice(), piece.length);
      assert(n >= 0 && n <= piece.length);
    }
    assert((decoder.ping?.length ?? 0) <= 125);
  }));
});
