import assert from "node:assert/strict";
import { Moderation } from "./moderation.ts";

const PAUSE_MS = 0.15;

/**
 * Turns of a relay in simulated time.
 *
 * @param arrivals packets that have come at a time, given how many were sent on before
 * @param turnMs what a turn takes beside waiting
 * @returns the share of turns that ended in a pause
 */
function share(turns: number, turnMs: number, arrivals: (now: number, sent: number) => number) {
  let now = 0;
  let packets = 0;
  let pauses = 0;
  const moderation = new Moderation(() => packets, () => now, () => {
    pauses++;
    now += PAUSE_MS;
  });
  for (let i = 0; i < turns; i++) {
    while (arrivals(now, packets) <= packets) now += 0.001;
    packets = arrivals(now, packets);
    now += turnMs;
    moderation.turnEnded();
  }
  return pauses / turns;
}

Deno.test("Moderation pauses while a dense stream comes packet by packet", () => {
  assert(share(20_000, 0.015, (now) => Math.floor(now * 25)) > 0.9);
});

Deno.test("Moderation leaves sparse streams alone", () => {
  assert.equal(share(20_000, 0.015, (now) => Math.floor(now * 5)), 0);
});

Deno.test("Moderation leaves a relay alone that has much to do", () => {
  assert.equal(share(20_000, 0.1, (now) => Math.floor(now * 200)), 0);
});

Deno.test("Moderation leaves packets alone that wait for each other", () => {
  // The next comes a twentieth of a millisecond after the one before was sent on.
  let sentAt = 0;
  let known = 0;
  const one = share(100_000, 0.015, (now, sent) => {
    if (sent !== known) [known, sentAt] = [sent, now];
    return now >= sentAt + 0.05 ? sent + 1 : sent;
  });
  assert(one < 0.002, `${one} of the turns`);
});

Deno.test("Moderation leaves several pairs alone whose packets wait for each other", () => {
  const ready = new Array(6).fill(0).map((_, i) => i * 0.02);
  let total = 0;
  const several = share(100_000, 0.01, (now, sent) => {
    if (sent < total) return total;
    for (let i = 0; i < ready.length; i++) {
      if (ready[i]! > now) continue;
      total++;
      ready[i] = now + 0.1;
    }
    return total;
  });
  assert(several < 0.01, `${several} of the turns`);
});

Deno.test("Moderation ends when the stream does", () => {
  const dense = 20_000;
  let pauses = 0;
  let now = 0;
  let packets = 0;
  const moderation = new Moderation(() => packets, () => now, () => {
    pauses++;
    now += PAUSE_MS;
  });
  for (let i = 0; i < dense; i++) {
    packets = Math.max(packets + 1, Math.floor(now * 25));
    now += 0.05;
    moderation.turnEnded();
  }
  const before = pauses;
  assert(before > 0.9 * dense);
  for (let i = 0; i < 10_000; i++) {
    packets++;
    now += 10;
    moderation.turnEnded();
  }
  assert(pauses - before <= 64);
});
