import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeBindingRequest, encodeBindingResponse } from "../../../relay/stun/mod.ts";
import {
  addressBytes,
  addressText,
  filterFor,
  ipv4Source,
  locateUdp,
  SOCKADDR_LENGTH,
  sockaddrAddress,
  udpChecksum,
  writeSockaddr,
  writeUdp,
} from "./packet.ts";

const TXID = Uint8Array.from({ length: 12 }, (_, i) => i);
const ANSWER = encodeBindingResponse(TXID, { address: "203.0.113.5", port: 5 });
const PORT = 51820;

/** What the kernel does with a classic BPF program: the bytes it passes (bpf(4)). */
function runFilter(program: Uint8Array, packet: Uint8Array): number {
  const view = new DataView(program.buffer);
  const data = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  let a = 0, x = 0;
  for (let at = 0; at * 8 < program.length; at++) {
    const k = view.getUint32(at * 8 + 4, true);
    const jump = (yes: boolean) => at += view.getUint8(at * 8 + (yes ? 2 : 3));
    try {
      switch (view.getUint16(at * 8, true)) {
        case 0xb1:
          x = (data.getUint8(k) & 0x0f) * 4;
          break;
        case 0x28:
          a = data.getUint16(k);
          break;
        case 0x48:
          a = data.getUint16(x + k);
          break;
        case 0x20:
          a = data.getUint32(k);
          break;
        case 0x40:
          a = data.getUint32(x + k);
          break;
        case 0x15:
          jump(a === k);
          break;
        case 0x45:
          jump((a & k) !== 0);
          break;
        case 0x06:
          return k;
        default:
          throw new Error("unknown instruction");
      }
    } catch (error) {
      if (error instanceof RangeError) return 0; // a load beyond the packet ends the program
      throw error;
    }
  }
  throw new Error("the program has no end");
}

/** A packet as a raw socket gives it. */
function received(family: 4 | 6, payload: Uint8Array, to = PORT, options = 0): Uint8Array {
  const header = family === 4 ? 20 + options * 4 : 0;
  const packet = new Uint8Array(header + 8 + payload.length);
  if (family === 4) {
    packet[0] = 0x40 | (header / 4);
    packet.set([192, 0, 2, 9], 12);
  }
  writeUdp(packet.subarray(header), { from: 3478, to }, payload);
  return packet;
}

Deno.test("the checksum of a UDP datagram is that of RFC 768", () => {
  // Worked out by hand: 10.0.0.1 -> 10.0.0.2, ports 1 -> 2, payload "hi!".
  const from = addressBytes("10.0.0.1"), to = addressBytes("10.0.0.2");
  const out = new Uint8Array(64);
  const length = writeUdp(out, { from: 1, to: 2 }, new TextEncoder().encode("hi!"), { from, to });
  assert.equal(length, 11);
  assert.deepEqual([...out.subarray(0, 6)], [0, 1, 0, 2, 0, 11]);
  const sum = 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 17 + 11 + 1 + 2 + 11 + 0x6869 + 0x2100;
  assert.equal((out[6]! << 8) | out[7]!, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
});

Deno.test("a receiver that sums a datagram with its checksum finds no error, and never a zero", () => {
  const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n });
  const port = fc.integer({ min: 1, max: 65535 });
  fc.assert(fc.property(
    bytes(4),
    bytes(4),
    port,
    port,
    fc.uint8Array({ maxLength: 300 }),
    (from, to, a, b, payload) => {
      const out = new Uint8Array(8 + 300);
      const length = writeUdp(out, { from: a, to: b }, payload, { from, to });
      const datagram = out.slice(0, length);
      assert.notEqual((datagram[6]! << 8) | datagram[7]!, 0);
      // With the checksum in it the sum is all ones, whose complement 0 is written as 0xffff.
      assert.equal(udpChecksum(from, to, datagram), 0xffff);
      const packet = new Uint8Array([0x45, ...new Uint8Array(19), ...datagram]);
      const found = locateUdp(packet, packet.length, 4, b)!;
      assert.equal(found.from, a);
      assert.deepEqual(packet.subarray(found.start, found.end), payload);
    },
  ));
});

Deno.test("the filter passes STUN answers and path probes to the port, and nothing else", () => {
  const wireguard = new Uint8Array(148);
  wireguard[0] = 1;
  const cookieAtOtherPlace = new Uint8Array([0, ...ANSWER]);
  const failure = ANSWER.slice();
  failure[1] = 0x11; // Binding error
  for (const family of [4, 6] as const) {
    const program = filterFor(family, PORT);
    const passes = (packet: Uint8Array) => runFilter(program, packet) > 0;
    assert(passes(received(family, ANSWER)));
    assert(passes(received(family, failure)));
    const probe = new Uint8Array([0xd3, 0x6e, 0x78, 0x70, ...new Uint8Array(44)]);
    assert(passes(received(family, probe)), "a path probe");
    assert(!passes(received(family, probe, PORT + 1)));
    assert(!passes(received(family, probe.with(0, 4))));
    if (family === 4) assert(passes(received(4, ANSWER, PORT, 10)), "with IP options");
    assert(!passes(received(family, ANSWER, PORT + 1)));
    assert(!passes(received(family, encodeBindingRequest(TXID))), "a request");
    assert(!passes(received(family, wireguard)));
    assert(!passes(received(family, cookieAtOtherPlace)));
    assert(!passes(received(family, ANSWER).subarray(0, 12)));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (noise) => {
      runFilter(program, noise);
    }));
  }
});

Deno.test("a payload is found only in a whole datagram to the port", () => {
  for (const family of [4, 6] as const) {
    const packet = received(family, ANSWER);
    const found = locateUdp(packet, packet.length, family, PORT)!;
    assert.equal(found.from, 3478);
    assert.deepEqual(packet.subarray(found.start, found.end), ANSWER);
    assert.equal(locateUdp(packet, packet.length, family, PORT + 1), undefined);
    assert.equal(locateUdp(packet, packet.length - 1, family, PORT), undefined);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), fc.nat(80), (noise, n) => {
        const length = Math.min(n, noise.length);
        const found = locateUdp(noise, length, family, (noise[22]! << 8) | noise[23]!);
        if (found) assert(found.start <= found.end && found.end <= length);
      }),
    );
  }
  assert.equal(addressText(ipv4Source(received(4, ANSWER))), "192.0.2.9");
});

Deno.test("addresses come out of the kernel's structures as they went in", () => {
  for (const [family, text] of [[4, "192.0.2.1"], [6, "2001:db8::1:2"], [6, "::1"]] as const) {
    const name = new Uint8Array(SOCKADDR_LENGTH[6]).fill(0xff);
    writeSockaddr(name, family, addressBytes(text), 3478);
    assert.equal(name[2]! << 8 | name[3]!, 3478);
    assert.equal(addressText(sockaddrAddress(name, family)), text);
  }
  assert.equal(addressText(addressBytes("::ffff:192.0.2.1")), "192.0.2.1");
});
