import assert from "node:assert/strict";
import {
  encodeForwardPacket,
  encodeFrame,
  encodePeerPresent,
  encodePing,
  encodeSendPacket,
  FrameType,
} from "../../derp/mod.ts";
import { Pools } from "../buffers/mod.ts";
import { Counters, DropReason } from "../counters.ts";
import { Flusher } from "../turns/mod.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import {
  encodeSiblingPresent,
  Link,
  type LinkHub,
  type LinkSocket,
  openSiblingPresent,
  SiblingFrame,
} from "./mod.ts";

const source = new Uint8Array(32).fill(1);
const destination = new Uint8Array(32).fill(2);

function concat(parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

const run = (sizes: number[]) =>
  concat(sizes.map((size, i) => encodeSendPacket(destination, new Uint8Array(size).fill(i))));

/** A socket whose writes end when the test says so. */
class FakeSocket implements LinkSocket {
  readonly written: Uint8Array[] = [];
  closed = 0;
  #waiting: PromiseWithResolvers<number>[] = [];
  constructor(readonly held = false) {}

  write(bytes: Uint8Array): Promise<number> {
    this.written.push(bytes.slice());
    if (!this.held) return Promise.resolve(bytes.length);
    const waiting = Promise.withResolvers<number>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  fail(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(new Deno.errors.BrokenPipe());
  }

  close(): void {
    this.closed += 1;
    this.fail();
  }
}

function hub(limits: Partial<typeof DEFAULT_LIMITS> = {}): LinkHub {
  const all = { ...DEFAULT_LIMITS, ...limits };
  return {
    limits: all,
    counters: new Counters(),
    flusher: new Flusher(),
    pools: new Pools(all),
  };
}

/** Some turns of the event loop: a busy machine's flush may not come with the first. */
const turn = async () => {
  for (let i = 0; i < 20; i++) await new Promise<void>((resolve) => setTimeout(resolve, 0));
};

Deno.test("Link writes a run to a relay as ForwardPacket frames, in one write", async () => {
  const socket = new FakeSocket();
  const link = new Link("other", false, socket, hub());
  const sizes = [0, 1, 1400, 20_000];
  const frames = run(sizes);
  link.forward(source, frames, 0, frames.length, sizes.length);
  const ping = encodePing(new Uint8Array(8));
  assert(link.control(ping));
  await turn();
  const expected = sizes.map((size, i) =>
    encodeForwardPacket(source, destination, new Uint8Array(size).fill(i))
  );
  assert.deepEqual(concat(socket.written), concat([...expected, ping]));
  assert.equal(link.sentPackets, 4);
  assert.equal(link.queuedBytes, 0);
});

Deno.test("Link writes a run to a sibling as it is, behind its source", async () => {
  const socket = new FakeSocket();
  const link = new Link("worker", true, socket, hub());
  const frames = concat([new Uint8Array(10), run([5, 1400])]);
  link.forward(source, frames, 10, frames.length, 2);
  const packet = encodeForwardPacket(source, destination, new Uint8Array(7));
  link.pass(concat([new Uint8Array(3), packet]), 3, 3 + packet.length);
  await turn();
  const expected = encodeFrame(SiblingFrame.Run, source, frames.subarray(10));
  assert.deepEqual(concat(socket.written), concat([expected, packet]));
  assert.equal(link.sentPackets, 3);
});

Deno.test("Link drops and counts what it has no room for, while a write hangs", async () => {
  const shared = hub({ linkBytes: 100_000, linkWriteMs: 1000 });
  const socket = new FakeSocket(true);
  const link = new Link("other", false, socket, shared);
  const frames = run(Array.from({ length: 40 }, () => 1000));
  link.forward(source, frames, 0, frames.length, 40);
  await turn();
  for (let i = 0; i < 3; i++) link.forward(source, frames, 0, frames.length, 40);
  assert(link.droppedPackets > 20 && link.queuedBytes <= 100_000);
  assert.equal(shared.counters.droppedTotal(DropReason.QueueTail), link.droppedPackets);
  assert(!link.control(new Uint8Array(100_000)));
  link.tick(performance.now());
  assert.equal(socket.closed, 0);
  link.tick(performance.now() + 1001);
  assert.equal(socket.closed, 1, "it takes nothing any more");
  await turn();
  assert.equal(link.droppedPackets + link.sentPackets, 160, "each packet is accounted for");
  assert.equal(shared.counters.droppedTotal(), 160);
  link.forward(source, frames, 0, frames.length, 40);
  assert.equal(shared.counters.droppedTotal(), 200);
  assert(!link.control(new Uint8Array(1)));
});

Deno.test("a link allocates nothing for a packet", () => {
  for (const sibling of [true, false]) {
    const shared = hub();
    const socket: LinkSocket = { write: () => new Promise(() => {}), close: () => {} };
    const frames = run(Array.from({ length: 50 }, () => 1300));
    const pooled = shared.pools.busyRead.take();
    pooled.set(frames);
    let least = Infinity;
    for (let i = 0; i < 40; i++) {
      const link = new Link("other", sibling, socket, shared);
      link.forward(source, pooled, 0, frames.length, 50);
      const before = Deno.memoryUsage().heapUsed;
      for (let k = 0; k < 20; k++) link.forward(source, pooled, 0, frames.length, 50);
      const grown = Deno.memoryUsage().heapUsed - before;
      link.close();
      if (i >= 20 && grown >= 0) least = Math.min(least, grown / 1000);
    }
    assert(least < 10, `${least} bytes a packet, sibling: ${sibling}`);
  }
});

Deno.test("a sibling's PeerPresent is a relay's and a time", () => {
  const peer = { key: source, address: "192.0.2.1", port: 5, flags: 1 };
  const stamp = 1_795_000_000_123.5;
  const payload = encodeSiblingPresent(peer, stamp).subarray(5);
  const opened = openSiblingPresent(payload, FrameType.PeerPresent);
  assert.deepEqual(opened, { plain: encodePeerPresent(peer), stamp });
  assert.equal(openSiblingPresent(payload.subarray(0, 58), FrameType.PeerPresent), undefined);
  const broken = payload.slice();
  broken.fill(0xff, 51);
  assert.equal(openSiblingPresent(broken, FrameType.PeerPresent), undefined);
});
