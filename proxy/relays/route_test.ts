import assert from "node:assert/strict";
import fc from "fast-check";
import { chooseRoute, HEARD_MS, type RouteSeat, SAME_MS, SLOTS } from "./route.ts";

const NOW = 1_000_000;
/** Slots are other numbers than ranks, so that one cannot pass for the other. */
const seat = (rank: number, more: Partial<RouteSeat> = {}): RouteSeat => ({
  ...{ rank, slot: 6 - rank, connected: true, healthy: true, steady: true, opening: false },
  ...more,
});
const silent = { healthy: false };
const down = { connected: false, healthy: false };

/** What was heard how long ago, and where the peer is not, by rank. */
function sightings(heard: Record<number, number>, absent: number[] = []) {
  const heardAt = new Float64Array(SLOTS);
  for (const [rank, ago] of Object.entries(heard)) heardAt[6 - Number(rank)] = NOW - ago;
  return { heardAt, absent: absent.reduce((bits, rank) => bits | 1 << (6 - rank), 0) };
}

type Row = [
  what: string,
  seats: RouteSeat[],
  heard: Record<number, number>,
  absent: number[],
  place: number | undefined,
  send: number[],
];
const ROWS: Row[] = [
  ["unknown: everywhere", [seat(0), seat(1)], {}, [], undefined, [0, 1]],
  ["heard: there", [seat(0), seat(1)], { 1: 10 }, [], 1, [1]],
  ["heard long ago: everywhere", [seat(0), seat(1)], { 1: HEARD_MS }, [], undefined, [0, 1]],
  ["heard at both: the first in the common order", [seat(0), seat(1)], { 0: 900, 1: 10 }, [], 0, [
    0,
  ]],
  ["heard at one much later: there", [seat(0), seat(1)], { 0: SAME_MS + 11, 1: 10 }, [], 1, [1]],
  ["not there any more: elsewhere", [seat(0), seat(1)], { 0: 10 }, [0], undefined, [1]],
  ["nowhere: home", [seat(0), seat(1)], {}, [0, 1], undefined, [0]],
  ["heard at a silent one: everywhere", [seat(0, silent), seat(1)], { 0: 10 }, [], 0, [0, 1]],
  ["one is silent: the other", [seat(0, silent), seat(1)], { 0: 10, 1: 900 }, [], 1, [1]],
  [
    "one has failed before: the other",
    [seat(0, { steady: false }), seat(1)],
    { 0: 10, 1: 900 },
    [],
    1,
    [1],
  ],
  ["connection lost: what is left", [seat(0, down), seat(1)], { 0: 10 }, [], undefined, [1]],
  ["no connection: home", [seat(0, down), seat(1, down)], { 0: 10 }, [], undefined, [0]],
  [
    "held for those that are opening",
    [seat(0), seat(1, { ...down, opening: true })],
    {},
    [],
    undefined,
    [0, 1],
  ],
];
for (const [what, seats, heard, absent, place, send] of ROWS) {
  Deno.test(`chooseRoute: ${what}`, () => {
    assert.deepEqual(chooseRoute(seats, sightings(heard, absent), 6, NOW), {
      place: place === undefined ? -1 : 6 - place,
      send: send.reduce((bits, rank) => bits | 1 << (6 - rank), 0),
    });
  });
}

Deno.test("chooseRoute brings both sides to one relay once they heard each other wherever both are", () => {
  const hosts = fc.subarray([0, 1, 2, 3], { minLength: 1 });
  fc.assert(fc.property(hosts, hosts, (one, other) => {
    const both = one.filter((rank) => other.includes(rank));
    fc.pre(both.length > 0);
    const heard = Object.fromEntries(both.map((rank, i) => [rank, i * 700]));
    const [a, b] = [one, other].map((ranks) =>
      chooseRoute(ranks.map((rank) => seat(rank)), sightings(heard), 6 - ranks[0]!, NOW)
    );
    assert.deepEqual(a, b);
    assert.equal(a!.place, 6 - both[0]!);
  }));
});
