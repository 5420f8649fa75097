/** The packet path allocates nothing for a packet: held by looking at the heap, both ways. */
import assert from "node:assert/strict";
import { encodeRecvPacket, generatePrivateKey, KeyTable, publicKeyOf } from "../relay/derp/mod.ts";
import { BatchSender } from "./capture/batch_sender.ts";
import { type BatchCalls, batchCalls, HEADER } from "./capture/libc.ts";
import { LinuxCapture } from "./capture/linux.ts";
import { CaptureDrops } from "./capture/mod.ts";
import { FrameInput, SendQueue } from "./connection/mod.ts";
import { FakeWireGuard, freePort } from "./testing.ts";

const PACKET = 1312;

/**
 * Bytes of heap that a packet leaves, when `run` handles `packets` of them. The least of several
 * tries: the first ones also pay for compiling, and a collection in between makes one useless.
 */
function bytesPerPacket(run: () => number): number {
  let least = Infinity;
  for (let i = 0; i < 12; i++) {
    const before = Deno.memoryUsage().heapUsed;
    const packets = run();
    const grown = Deno.memoryUsage().heapUsed - before;
    if (i >= 4 && grown >= 0) least = Math.min(least, grown / packets);
  }
  return least;
}

function withoutFfi(): boolean {
  if (batchCalls() !== undefined) return false;
  // deno-lint-ignore no-console
  console.log("skip: no libc by FFI here");
  return true;
}

Deno.test("a packet from the relay to WireGuard allocates nothing", () => {
  if (withoutFfi()) return;
  const key = publicKeyOf(generatePrivateKey());
  const table = new KeyTable<
    { fd: number; first: number; last: number; memory: number; packets: number }
  >();
  table.set(key, { fd: 1_000_000, first: -1, last: -1, memory: 0, packets: 0 });
  const calls: BatchCalls = { recvmmsg: () => -1, sendmmsg: (_, __, n) => n, errno: () => 0 };
  const sender = new BatchSender(calls, new CaptureDrops());
  sender.setPort(51820);
  const input = new FrameInput({
    packet: (buf, at, offset, length) => {
      const peer = table.get(buf, at)!;
      peer.packets++;
      sender.add(peer, buf, offset, length);
    },
    frame: () => {},
  });
  const frame = encodeRecvPacket(key, new Uint8Array(PACKET));
  const batch = new Uint8Array(frame.length * 48);
  for (let i = 0; i < 48; i++) batch.set(frame, i * frame.length);
  const perPacket = bytesPerPacket(() => {
    for (let i = 0; i < 500; i++) {
      input.space().set(batch);
      input.filled(batch.length);
      input.walk();
      sender.flush();
    }
    return 500 * 48;
  });
  assert.equal(table.get(key)!.packets, 12 * 500 * 48);
  assert(perPacket < 4, `${perPacket} bytes a packet`);
});

Deno.test("a packet from WireGuard to the relay allocates nothing", async () => {
  if (withoutFfi()) return;
  const key = publicKeyOf(generatePrivateKey());
  const queue = new SendQueue(256 * 1024, 1024);
  using wireguard = new FakeWireGuard();
  const port = freePort();
  const to = { hostname: "127.0.77.30", port };
  let full = 0;
  let names: Uint8Array | undefined;
  let words: Uint32Array | undefined;
  const calls: BatchCalls = {
    // 64 packets at once, from WireGuard's port.
    recvmmsg(_, headers, count) {
      if (full === 0) return -1;
      full--;
      words ??= new Uint32Array(headers.buffer);
      if (names === undefined) {
        const place = new DataView(headers.buffer).getBigUint64(HEADER.name, true);
        const view = new Deno.UnsafePointerView(Deno.UnsafePointer.create(place)!);
        names = new Uint8Array(view.getArrayBuffer(16 * count));
        for (let i = 0; i < count; i++) {
          names.set([2, 0, wireguard.port >> 8, wireguard.port & 255, 127, 0, 0, 1], i * 16);
        }
      }
      for (let i = 0; i < count; i++) words[(i * HEADER.size + HEADER.length) / 4] = PACKET;
      return count;
    },
    sendmmsg: () => -1,
    errno: () => 0,
  };
  let packets = 0;
  let heapBefore = 0;
  let least = Infinity;
  let wakeUps = 0;
  let next = Promise.withResolvers<void>();
  const capture = new LinuxCapture<Uint8Array>({
    packet: (tag, data, length) => {
      if (packets++ === 0) heapBefore = Deno.memoryUsage().heapUsed;
      queue.push(tag, data, length, 0);
    },
    batchEnd: () => {
      const grown = Deno.memoryUsage().heapUsed - heapBefore;
      // The first wake-ups make the views and pay for compiling.
      if (wakeUps++ >= 400 && grown >= 0) least = Math.min(least, grown / packets);
      next.resolve();
    },
    failed: (_, error) => next.reject(error),
  }, calls);
  capture.setWireguardPort(wireguard.port);
  capture.open(to.hostname, port, key);
  for (let i = 0; i < 500; i++) {
    full = 4;
    packets = 0;
    next = Promise.withResolvers();
    await wireguard.send(new Uint8Array(PACKET), to);
    await next.promise;
    assert.equal(packets, 1 + 4 * 64);
  }
  await capture.close();
  assert(least < 8, `${least} bytes a packet`);
});
