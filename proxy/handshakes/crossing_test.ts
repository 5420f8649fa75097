import { deepEqual, equal } from "node:assert/strict";
import { ANSWER_MS, Crossing, HOLD_MS, isLower } from "./crossing.ts";
import { message, senderOf, TestClock } from "./testing.ts";

/** A crossing, and what it let through: direction and sender's index. */
class Bench {
  readonly clock = new TestClock();
  connectedAt = -Infinity;
  dropped = 0;
  readonly seen: string[] = [];
  readonly crossing = new Crossing({
    toRelay: (packet) => void this.seen.push(`out ${senderOf(packet)}`),
    toWireguard: (packet) => void this.seen.push(`in ${senderOf(packet)}`),
    dropped: () => this.dropped++,
    connectedAt: () => this.connectedAt,
  }, this.clock);

  out(type: 1 | 2 | 4, sender: number, receiver = 0): void {
    const data = message(type, sender, receiver);
    if (this.crossing.outgoing(data, data.length)) this.seen.push(`out ${sender}`);
  }

  in(type: 1 | 2 | 4, sender: number, receiver = 0): void {
    // Not at the start of the memory, as in a frame.
    const data = message(type, sender, receiver), buf = new Uint8Array(data.length + 7);
    buf.set(data, 7);
    if (this.crossing.incoming(buf, 7, data.length)) this.seen.push(`in ${sender}`);
  }

  pass(ms: number): void {
    this.clock.until(this.clock.time + ms);
  }

  /** What was let through since the last time. */
  take(): string[] {
    return this.seen.splice(0);
  }
}

Deno.test("crossing lets everything through when one side alone begins", () => {
  const bench = new Bench();
  bench.out(1, 1);
  bench.in(2, 50, 1);
  bench.out(4, 2);
  bench.in(1, 51);
  bench.out(2, 3, 51);
  bench.in(4, 52);
  deepEqual(bench.take(), ["out 1", "in 50", "out 2", "in 51", "out 3", "in 52"]);
  equal(bench.clock.waiting, 0);
  equal(bench.dropped, 0);
});

Deno.test("crossing drops the peer's initiation once its own is answered", () => {
  const bench = new Bench();
  bench.out(1, 1);
  bench.pass(20);
  bench.in(1, 50);
  bench.pass(20);
  bench.in(2, 51, 1);
  deepEqual(bench.take(), ["out 1", "in 51"]);
  equal(bench.dropped, 1);
  equal(bench.clock.waiting, 0);
  bench.pass(10_000);
  deepEqual(bench.take(), []);
});

Deno.test("crossing gives WireGuard the peer's initiation when its own gets no answer", () => {
  const bench = new Bench();
  bench.out(1, 1);
  bench.pass(100);
  bench.in(1, 50);
  bench.in(2, 51, 99); // an answer, but not to this one
  deepEqual(bench.take(), ["out 1", "in 51"]);
  bench.pass(HOLD_MS - 101);
  deepEqual(bench.take(), []);
  bench.pass(1);
  deepEqual(bench.take(), ["in 50"]);
  equal(bench.dropped, 0);
});

Deno.test("crossing keeps only the peer's newest initiation", () => {
  const bench = new Bench();
  bench.out(1, 1);
  bench.in(1, 50);
  bench.in(1, 51);
  bench.pass(HOLD_MS);
  deepEqual(bench.take(), ["out 1", "in 51"]);
});

Deno.test("crossing holds nothing back for an initiation that is too old to be answered", () => {
  const bench = new Bench();
  bench.out(1, 1);
  bench.pass(HOLD_MS);
  bench.in(1, 50);
  deepEqual(bench.take(), ["out 1", "in 50"]);
});

Deno.test("crossing counts from when the connection came that an initiation waited for", () => {
  const bench = new Bench();
  bench.out(1, 1);
  bench.pass(1_000);
  bench.connectedAt = 1_000;
  bench.pass(50);
  bench.in(1, 50);
  deepEqual(bench.take(), ["out 1"]);
  bench.pass(HOLD_MS - 50);
  deepEqual(bench.take(), ["in 50"]);
  // One so old has not waited for the connection: it went, or was thrown away.
  bench.out(1, 2);
  bench.pass(3_000);
  bench.connectedAt = 4_000 + HOLD_MS;
  bench.in(1, 51);
  deepEqual(bench.take(), ["out 2", "in 51"]);
});

Deno.test("crossing keeps its own initiation while WireGuard answers the peer's", () => {
  const bench = new Bench();
  bench.in(1, 50);
  bench.out(1, 1);
  bench.out(2, 2, 50);
  deepEqual(bench.take(), ["in 50", "out 2"]);
  equal(bench.dropped, 1);
  equal(bench.clock.waiting, 0);
  // Or does not answer it: it may not have the peer yet.
  bench.in(1, 51);
  bench.pass(5);
  bench.out(1, 3);
  bench.pass(ANSWER_MS - 6);
  deepEqual(bench.take(), ["in 51"]);
  bench.pass(1);
  deepEqual(bench.take(), ["out 3"]);
  // From here on it is under way.
  bench.in(1, 52);
  deepEqual(bench.take(), []);
});

Deno.test("crossing lets the peer's initiation go when WireGuard answers an earlier one", () => {
  const bench = new Bench();
  bench.in(1, 50);
  bench.pass(ANSWER_MS);
  bench.out(1, 1);
  bench.in(1, 51);
  deepEqual(bench.take(), ["in 50", "out 1"]);
  bench.out(2, 2, 50);
  deepEqual(bench.take(), ["in 51", "out 2"]);
});

Deno.test("crossing holds nothing back right after an answer of its own", () => {
  const bench = new Bench();
  bench.out(1, 1);
  bench.pass(HOLD_MS);
  bench.in(1, 50);
  bench.out(2, 2, 50);
  bench.out(1, 3);
  deepEqual(bench.take(), ["out 1", "in 50", "out 2", "out 3"]);
  bench.out(2, 4, 50);
  bench.in(1, 51);
  deepEqual(bench.take(), ["out 4", "in 51"]);
});

Deno.test("crossing forgets what it holds when it is closed", () => {
  const bench = new Bench();
  bench.out(1, 1);
  bench.in(1, 50);
  bench.crossing.close();
  equal(bench.clock.waiting, 0);
  bench.pass(10_000);
  deepEqual(bench.take(), ["out 1"]);
});

Deno.test("crossing looks at whole handshake messages only", () => {
  const bench = new Bench();
  bench.out(1, 1);
  for (const length of [0, 1, 3, 4, 147, 149]) {
    const data = new Uint8Array(160);
    data[0] = 1;
    equal(bench.crossing.incoming(data, 0, length), true, `length ${length}`);
  }
  const reserved = message(1, 50);
  reserved[2] = 1;
  equal(bench.crossing.incoming(reserved, 0, 148), true);
});

Deno.test("isLower is true on one side of each pair", () => {
  const key = (...bytes: number[]) => new Uint8Array(32).map((_, i) => bytes[i] ?? 0);
  equal(isLower(key(1), key(2)), true);
  equal(isLower(key(2), key(1)), false);
  equal(isLower(key(1, 255), key(2, 0)), true);
  equal(isLower(key(0, 128), key(0, 127)), false);
  equal(isLower(key(3), key(3)), false);
});
