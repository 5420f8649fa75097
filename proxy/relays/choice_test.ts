import assert from "node:assert/strict";
import fc from "fast-check";
import {
  chooseHome,
  chooseSeats,
  type HomeReason,
  MAX_OPEN,
  MEASURE_MS,
  type RelayView,
  type SeatReason,
} from "./choice.ts";

const NOW = 1_000_000;

/** A relay that is logged in and answers since long ago. */
function relay(more: Partial<RelayView> = {}): RelayView {
  return {
    ...{ tier: 0, connected: true, healthy: true, since: NOW - 100_000, holdMs: 0, samples: 3 },
    ...{ measuredAt: NOW, needed: false, going: false },
    ...more,
  };
}
const idle = (more: Partial<RelayView> = {}) =>
  relay({ connected: false, healthy: false, samples: 0, since: -Infinity, ...more });
const down = (more: Partial<RelayView> = {}) => idle({ since: NOW - 5_000, going: true, ...more });
const open = relay({ tier: 1 });

const HOMES: [string, RelayView[], number, number, HomeReason][] = [
  ["the only one is home", [relay()], 0, 0, "preferred"],
  ["the only one is home when it does not answer", [down()], 0, 0, "none-healthy"],
  ["a preferred one that appears is home at once", [relay(), open], 1, 0, "preferred"],
  ["one that is not logged in is not", [idle(), open], 1, 1, "only-healthy"],
  ["one that is silent is not", [relay({ healthy: false }), open], 1, 1, "only-healthy"],
  ["a home that dies is left at once", [down(), open], 0, 1, "only-healthy"],
  ["a silent home too", [relay({ healthy: false }), open], 0, 1, "only-healthy"],
  ["but not for one that is not there either", [down(), down({ tier: 1 })], 0, 0, "none-healthy"],
  [
    "one that failed is home again when it has held for a while",
    [relay({ holdMs: 5_000, since: NOW - 5_000 }), open],
    1,
    0,
    "preferred",
  ],
  [
    "and not before",
    [relay({ holdMs: 5_000, since: NOW - 4_999 }), open],
    1,
    1,
    "still-healthy",
  ],
  [
    "unless home is gone",
    [relay({ holdMs: 5_000, since: NOW - 10 }), down({ tier: 1 })],
    1,
    0,
    "preferred",
  ],
  [
    "a lower one is never preferred, however near",
    [
      relay({ rttMs: 300 }),
      relay({ tier: 1, rttMs: 1 }),
    ],
    0,
    0,
    "preferred",
  ],
  ["the nearest of those alike", [relay({ rttMs: 80 }), relay({ rttMs: 20 })], 0, 1, "nearest"],
  [
    "home while another is hardly nearer",
    [
      relay({ rttMs: 25 }),
      relay({ rttMs: 20 }),
    ],
    0,
    0,
    "still-healthy",
  ],
  [
    "home while the other is not known well",
    [
      relay({ rttMs: 80 }),
      relay({ rttMs: 20, samples: 2 }),
    ],
    0,
    0,
    "still-healthy",
  ],
  [
    "the nearest when home dies",
    [
      down(),
      relay({ rttMs: 80 }),
      relay({ rttMs: 20 }),
    ],
    0,
    2,
    "nearest",
  ],
  ["the first when nothing is known", [down(), relay(), relay()], 0, 1, "nearest"],
  ["another one when home is not listed any more", [relay()], -1, 0, "preferred"],
  ["the first when nothing of the new list answers", [idle(), idle()], -1, 0, "none-healthy"],
];
for (const [name, relays, home, expected, reason] of HOMES) {
  Deno.test(`chooseHome: ${name}`, () => {
    assert.deepEqual(chooseHome(relays, home, NOW), { home: expected, reason });
  });
}

Deno.test("chooseHome is settled after one step, whatever relays are like", () => {
  const view = fc.record({
    tier: fc.integer({ min: 0, max: 2 }),
    connected: fc.boolean(),
    healthy: fc.boolean(),
    since: fc.integer({ min: NOW - 20_000, max: NOW }),
    holdMs: fc.constantFrom(0, 5_000, 60_000),
    rttMs: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
    samples: fc.integer({ min: 0, max: 4 }),
  });
  fc.assert(fc.property(
    fc.array(view, { minLength: 1, maxLength: 6 }),
    fc.integer({ min: -1, max: 5 }),
    (views, at) => {
      const relays = views.map(({ rttMs, samples, ...rest }) =>
        relay({
          ...rest,
          connected: rest.connected || rest.healthy,
          ...(rttMs === undefined ? { samples: 0 } : { rttMs, samples }),
        })
      );
      let home = at < relays.length ? at : -1;
      for (let i = 0; i < relays.length; i++) home = chooseHome(relays, home, NOW).home;
      assert.equal(chooseHome(relays, home, NOW).home, home, "it flaps");
      const { healthy } = relays[home]!;
      assert(healthy || !relays.some((one) => one.healthy));
      assert(chooseSeats(relays, home, true, NOW).size <= MAX_OPEN);
      assert.equal(chooseSeats(relays, home, true, NOW).get(home), "home");
    },
  ));
});

const SEATS: [string, RelayView[], number, boolean, Record<number, SeatReason>][] = [
  ["home alone", [relay(), idle({ tier: 1 })], 0, false, { 0: "home" }],
  ["what peers use", [relay(), relay({ tier: 1, needed: true })], 0, false, {
    0: "home",
    1: "peers",
  }],
  ["all when home is gone", [down(), idle({ tier: 1 }), idle({ tier: 1 })], 0, false, {
    0: "home",
    1: "fallback",
    2: "fallback",
  }],
  [
    "all when home is silent",
    [relay({ healthy: false, going: true }), idle({ tier: 1 })],
    0,
    false,
    {
      0: "home",
      1: "fallback",
    },
  ],
  [
    "home alone while it is being reached",
    [idle({ since: NOW - 500 }), idle({ tier: 1 })],
    0,
    false,
    {
      0: "home",
    },
  ],
  ["others when that takes long", [idle({ since: NOW - 1_000 }), idle({ tier: 1 })], 0, false, {
    0: "home",
    1: "fallback",
  }],
  ["what is preferred, until it is back", [down(), open, idle({ tier: 2 })], 1, false, {
    0: "preferred",
    1: "home",
  }],
  ["all in a search", [relay(), idle({ tier: 1 }), idle({ tier: 1 })], 0, true, {
    0: "home",
    1: "search",
    2: "search",
  }],
  [
    "one at a time to measure",
    [
      relay(),
      idle({ measuredAt: -Infinity }),
      idle({ measuredAt: -Infinity }),
      idle({ tier: 1, measuredAt: -Infinity }),
    ],
    0,
    false,
    { 0: "home", 1: "measure" },
  ],
  [
    "and again after a while",
    [
      relay(),
      idle({ measuredAt: NOW - MEASURE_MS + 1 }),
      idle({ measuredAt: NOW - MEASURE_MS }),
    ],
    0,
    false,
    { 0: "home", 2: "measure" },
  ],
  [
    "no more than a few, the needed first",
    [
      ...Array.from({ length: 5 }, () => idle({ tier: 1 })),
      relay({ tier: 1, needed: true }),
      down(),
    ],
    6,
    true,
    { 6: "home", 5: "peers", 0: "fallback", 1: "fallback" },
  ],
];
for (const [name, relays, home, searching, expected] of SEATS) {
  Deno.test(`chooseSeats: ${name}`, () => {
    assert.deepEqual(Object.fromEntries(chooseSeats(relays, home, searching, NOW)), expected);
  });
}
