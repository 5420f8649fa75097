import assert from "node:assert/strict";
import { Room } from "./room.ts";

const PACKET = 2_200;
const CAPACITY = 4 << 20;

/** A receive buffer that is filled through a room, and emptied as a test wants. */
class Buffer {
  now = 0;
  waiting = 0;
  lost = 0;
  readonly room: Room;

  constructor(readonly capacity: number) {
    this.room = new Room({
      measure: () => ({ waiting: this.waiting, capacity }),
    }, () => this.now);
  }

  /** Offers packets in batches of 12, as they come out of TLS records; returns how many went in. */
  offer(packets: number): number {
    let went = 0;
    for (let left = packets; left > 0; left -= 12) {
      const batch = Math.min(12, left);
      const room = this.room.take(batch * PACKET);
      const taken = room === Infinity ? batch : Math.floor(room / PACKET);
      this.waiting += taken * PACKET;
      went += taken;
    }
    assert(this.waiting <= this.capacity, `${this.waiting} in ${this.capacity}`);
    return went;
  }

  drain(packets: number): void {
    this.waiting = Math.max(0, this.waiting - packets * PACKET);
  }
}

Deno.test("room takes a burst of all that the buffer holds but for a part", () => {
  const buffer = new Buffer(CAPACITY);
  const went = buffer.offer(5_000);
  assert(went * PACKET > CAPACITY * 0.7 && went * PACKET <= CAPACITY * 0.75, `${went} packets`);
  assert.equal(buffer.offer(1), 0);
  buffer.drain(10);
  assert.equal(buffer.offer(10), 10);
});

Deno.test("room loses nothing while WireGuard pauses for a few milliseconds now and then", () => {
  const buffer = new Buffer(CAPACITY);
  let lost = 0;
  // 10 packets a millisecond come; of 60 ms WireGuard sleeps 8 and then catches up.
  for (; buffer.now < 3_000; buffer.now++) {
    lost += 10 - buffer.offer(10);
    if (buffer.now % 60 >= 8) buffer.drain(60);
  }
  assert.equal(lost, 0);
});

Deno.test("room keeps a queue short that stands, and lets bursts in again after a while without", () => {
  const buffer = new Buffer(CAPACITY);
  const longest: number[] = [];
  // More comes than WireGuard takes, for a second.
  for (; buffer.now < 1_000; buffer.now += 0.2) {
    buffer.offer(12);
    buffer.drain(9);
    const tenth = Math.floor(buffer.now / 100);
    longest[tenth] = Math.max(longest[tenth] ?? 0, buffer.waiting);
  }
  assert(longest.slice(1, 10).every((bytes) => bytes <= 96 * 1024), `${longest}`);
  buffer.drain(Infinity);
  for (const end = buffer.now + 200; buffer.now < end; buffer.now++) {
    assert.equal(buffer.offer(10), 10);
    buffer.drain(45);
  }
  assert.equal(buffer.offer(500), 500);
});

Deno.test("room leaves a part of a buffer of the usual size free", () => {
  const buffer = new Buffer(212_992);
  for (; buffer.now < 500; buffer.now++) {
    buffer.offer(60);
    assert(buffer.waiting <= 212_992 * 0.75);
    buffer.drain(40);
  }
});
