import assert from "node:assert/strict";
import { payloadLength } from "../../relay/derp/mod.ts";
import { FRAME_OVERHEAD } from "../connection/mod.ts";
import { Outgoing } from "./outgoing.ts";

const key = new Uint8Array(32).fill(9);
const FULL = 1312;
const SMALL = 128;
const data = new Uint8Array(FULL);

/** A way to a relay of so many packets a millisecond, and what goes over it. */
class Way {
  now = 1_000;
  readonly outgoing = new Outgoing(() => this.now);
  readonly sent: number[] = [];
  /** Bytes taken from the queue and not written yet. */
  #left = 0;
  #queue: ReturnType<Outgoing["take"]>;
  /** Bytes that waited when they were looked at, each millisecond. */
  readonly waited: number[] = [];

  constructor(readonly bytesPerMs: number) {
    this.outgoing.connected(this.now, 0, 0);
  }

  /** A millisecond: packets come, bytes go. */
  tick(...lengths: number[]): void {
    for (const length of lengths) this.outgoing.push(key, data, length, true);
    this.outgoing.endBatch();
    for (let room = this.bytesPerMs; room > 0;) {
      if (this.#queue === undefined) {
        this.#queue = this.outgoing.take();
        if (this.#queue === undefined) break;
        this.#left = this.#queue.bytes;
        for (const part of this.#queue.segments()) {
          for (let at = 0; at < part.length; at += 5 + payloadLength(part, at)) {
            this.sent.push(5 + payloadLength(part, at) - FRAME_OVERHEAD);
          }
        }
      }
      const written = Math.min(room, this.#left);
      room -= written;
      if ((this.#left -= written) > 0) break;
      this.outgoing.done(this.#queue, true);
      this.#queue = undefined;
    }
    this.now++;
    this.waited.push(this.#left);
  }

  count(length: number): number {
    return this.sent.filter((n) => n === length).length;
  }
}

const many = (count: number, length: number) => new Array<number>(count).fill(length);

Deno.test("outgoing loses nothing of a burst of hundreds of packets after a time of peace", () => {
  const way = new Way(20_000);
  for (let round = 0; round < 5; round++) {
    way.tick(...many(340, FULL));
    for (let i = 0; i < 150; i++) way.tick(FULL);
  }
  assert.equal(way.outgoing.drops.queue_full, 0);
  assert.equal(way.count(FULL), 5 * (340 + 150));
});

Deno.test("outgoing keeps short what stands, and lets small packets through all the while", () => {
  const way = new Way(20_000);
  for (let i = 0; i < 2_000; i++) way.tick(...many(30, FULL), ...(i % 10 === 0 ? [SMALL] : []));
  for (let i = 0; i < 100; i++) way.tick();
  const { drops } = way.outgoing;
  assert.equal(way.count(SMALL), 200);
  assert.equal(way.count(FULL) + drops.queue_full, 60_000);
  // Twice 64 KiB at 20 kB/ms.
  const late = way.waited.slice(500, 2_000);
  assert(late.every((bytes) => bytes <= 64 * 1024), `${Math.max(...late)} bytes waited`);
  // Nothing of what the way can carry is left unused.
  const most = 2_000 * 20_000 / (FULL + FRAME_OVERHEAD);
  assert(way.count(FULL) > 0.95 * most, `${way.count(FULL)} of ${most}`);
  assert.equal(drops.queue_age + drops.write_error + drops.too_large, 0);
});

Deno.test("outgoing lets bursts in again when nothing was refused for a while", () => {
  const way = new Way(20_000);
  for (let i = 0; i < 500; i++) way.tick(...many(30, FULL));
  assert(way.outgoing.drops.queue_full > 0);
  for (let i = 0; i < 250; i++) way.tick(FULL);
  const before = way.outgoing.drops.queue_full;
  way.tick(...many(300, FULL));
  assert.equal(way.outgoing.drops.queue_full, before);
});

Deno.test("outgoing takes a single packet of any size that fits, also while the queue stands", () => {
  const way = new Way(20_000);
  for (let i = 0; i < 500; i++) way.tick(...many(30, FULL));
  for (let i = 0; i < 20; i++) way.tick();
  const large = new Uint8Array(65_535);
  const { queue_full } = way.outgoing.drops;
  way.outgoing.push(key, large, large.length, true);
  assert.equal(way.outgoing.drops.queue_full, queue_full);
  way.outgoing.push(key, new Uint8Array(600_000), 600_000, true);
  assert.equal(way.outgoing.drops.too_large + way.outgoing.drops.queue_full, queue_full + 1);
});

Deno.test("outgoing holds the newest few packets while there is no connection", () => {
  const way = new Way(20_000);
  for (let i = 0; i < 100; i++) way.outgoing.push(key, data, 148 + i, false);
  way.outgoing.endBatch();
  assert.equal(way.outgoing.drops.not_connected, 68);
  way.tick();
  assert.deepEqual(way.sent, Array.from({ length: 32 }, (_, i) => 148 + 68 + i));
});
