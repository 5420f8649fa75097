/** The packet path allocates nothing for a packet: held by looking at the heap. */
import assert from "node:assert/strict";
import {
  DISCO_MAGIC,
  encodeRecvPacket,
  encodeSendPacket,
  generatePrivateKey,
  publicKeyOf,
} from "../derp/mod.ts";
import { Input, OutputQueue, Pools } from "./buffers/mod.ts";
import { Connection, type Hub, type Socket } from "./connection.ts";
import { Counters } from "./counters.ts";
import { Flusher } from "./turns/mod.ts";
import { walk } from "./frames.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import type { Link } from "./links/mod.ts";
import { Registry } from "./peers/mod.ts";
import { Distribution } from "./report/mod.ts";

const PACKETS = 60;
const ABOUT = { address: "", port: 0 };
const SOCKET: Socket = {
  read: () => Promise.resolve(null),
  write: (bytes) => Promise.resolve(bytes.length),
  close: () => {},
};

/**
 * Bytes of heap that a packet leaves, when `run` handles `packets` of them. The least of several
 * tries: the first ones also pay for compiling, and a collection in between makes one useless.
 */
function bytesPerPacket(run: () => number): number {
  let least = Infinity;
  for (let i = 0; i < 32; i++) {
    const before = Deno.memoryUsage().heapUsed;
    const packets = run();
    const grown = Deno.memoryUsage().heapUsed - before;
    if (i >= 16 && grown >= 0) least = Math.min(least, grown / packets);
  }
  return least;
}

/** Sends batches from one client to `destinations` others, in turn, and looks at the heap. */
function forwarding(destinations: number): number {
  const hub: Hub = {
    limits: DEFAULT_LIMITS,
    counters: new Counters(),
    registry: new Registry<Connection, Link>(),
    flusher: new Flusher(),
    pools: new Pools(DEFAULT_LIMITS),
    framesPerWrite: new Distribution([]),
    ended: () => {},
    spoke: () => {},
    watch: () => {},
    confirmed: () => {},
    closePeer: () => 0,
  };
  const connect = (id: number) => {
    const key = publicKeyOf(generatePrivateKey());
    const connection = new Connection(id, key, hub, SOCKET, new Input(hub.pools), ABOUT);
    connection.peer = hub.registry.add(connection);
    return connection;
  };
  const source = connect(0);
  const targets = Array.from({ length: destinations }, (_, i) => connect(1 + i));
  const packet = (i: number) => new Uint8Array(1312).fill(i);
  const batch = new Uint8Array(
    Array.from(
      { length: PACKETS },
      (_, i) => [...encodeSendPacket(targets[i % destinations]!.key, packet(i))],
    ).flat(),
  );
  source.input.adopt(batch); // Makes it borrow a buffer for whole batches.
  assert(walk(source));
  targets.forEach((target, n) => {
    const expected = Array.from({ length: PACKETS }, (_, i) => i).filter((i) =>
      i % destinations === n
    ).flatMap((i) => [...encodeRecvPacket(source.key, packet(i))]);
    assert.deepEqual(target.queue.beginWrite(), new Uint8Array(expected));
    target.queue.endWrite(true);
  });
  const least = bytesPerPacket(() => {
    for (let i = 0; i < 30; i++) {
      source.input.room().set(batch);
      source.input.filled(batch.length);
      walk(source);
      for (const target of targets) {
        target.queue.beginWrite();
        target.queue.endWrite(true);
      }
    }
    return 30 * PACKETS;
  });
  assert.equal(hub.counters.packetsSent, PACKETS * (1 + 32 * 30));
  return least;
}

// A view of a run is over a hundred bytes. What is left is each write's view, shared by its packets.
const MOST = 10;

Deno.test("a run of packets for one destination allocates nothing for a packet", () => {
  const least = forwarding(1);
  assert(least < MOST, `${least} bytes a packet`);
});

Deno.test("packets for two destinations in turn allocate nothing for a packet", () => {
  const least = forwarding(2);
  assert(least < MOST, `${least} bytes a packet`);
});

/** Sends from `sources` in turn into one queue that nobody writes, with a disco packet now and then. */
function overflowing(sources: number): number {
  const counters = new Counters();
  const queue = new OutputQueue(DEFAULT_LIMITS, new Pools(DEFAULT_LIMITS), counters);
  const frames = Array.from({ length: 64 }, (_, i) => {
    const packet = new Uint8Array(200).fill(i);
    if (i === 0) packet.set(DISCO_MAGIC);
    return encodeRecvPacket(new Uint8Array(32).fill(i % sources), packet);
  });
  const least = bytesPerPacket(() => {
    for (let n = 0; n < 100; n++) {
      for (const frame of frames) queue.pushPackets(frame, 0, frame.length, 1);
    }
    return 6400;
  });
  assert(counters.droppedTotal() > 100_000);
  return least;
}

// The frames here are not parts of the pool, so each costs a view: what is above it is dropping's.
const VIEW = 120;

Deno.test("dropping packets from a full queue allocates nothing", () => {
  for (const sources of [1, 3]) {
    const least = overflowing(sources);
    assert(least < VIEW + MOST, `${least} bytes a packet, ${sources} sources`);
  }
});
