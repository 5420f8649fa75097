import assert from "node:assert/strict";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { readRanges } from "./ranges.ts";

const named = { unnamed: false, unreadable: [] };

Deno.test("ranges take addresses, CIDRs and first-last, and merge what touches", () => {
  for (
    const [texts, expected] of [
      [["10.0.0.1"], { 4: ["10.0.0.1"] }],
      [["10.1.2.3/8"], { 4: ["10.0.0.0-10.255.255.255"] }],
      [["10.0.0.1-10.0.0.9"], { 4: ["10.0.0.1-10.0.0.9"] }],
      [[" 10.0.0.1 - 10.0.0.9 "], { 4: ["10.0.0.1-10.0.0.9"] }],
      [["10.0.0.9/32", "10.0.0.1-10.0.0.8", "10.0.0.4/30"], { 4: ["10.0.0.1-10.0.0.9"] }],
      [["200::1", "200::/64", "300::1-300::2"], {
        6: ["200::-200::ffff:ffff:ffff:ffff", "300::1-300::2"],
      }],
      [["0.0.0.0/1", "128.0.0.0/1"], { 4: "any" }],
      [["::/0", "10.0.0.1"], { 4: ["10.0.0.1"], 6: "any" }],
    ] as const
  ) assert.deepEqual(readRanges(texts), { ...expected, ...named }, texts.join());
});

Deno.test("ranges without a text, or with an empty one, are all addresses", () => {
  for (const texts of [[], [""], ["10.0.0.1", " "]]) {
    assert.deepEqual(readRanges(texts), { 4: "any", 6: "any", unnamed: true, unreadable: [] });
  }
});

Deno.test("ranges that cannot be read are told and stand for no address", () => {
  for (
    const text of [
      ...[
        "?",
        "kitten",
        "10.0.0",
        "010.0.0.1",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "::/129",
        "::/",
        "/8",
      ],
      ...[
        "10.0.0.9-10.0.0.1",
        "10.0.0.1-200::1",
        "1-2-3",
        "10.0.0.1-",
        "-10.0.0.1",
        "fe80::1%eth0",
      ],
      ...[
        "10.0.0.1 accept",
        "10.0.0.1\n",
        "} ; flush ruleset",
        "10.0.0.0/8-10.0.0.1",
        "1".repeat(99),
      ],
    ]
  ) {
    const read = readRanges([text]);
    // White space around an address is no reason to refuse it.
    if (text.trim() === "10.0.0.1") assert.deepEqual(read[4], ["10.0.0.1"]);
    else assert.deepEqual(read, { unnamed: false, unreadable: [text] });
  }
});

Deno.test("ranges cover an address exactly when one of their texts does", () => {
  const address = fc.integer({ min: 0, max: 40 });
  const text = (n: number) => `10.0.0.${n}`;
  const one = fc.tuple(address, address).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  fc.assert(fc.property(fc.array(one, { minLength: 1, maxLength: 8 }), (ranges) => {
    const { 4: elements } = readRanges(ranges.map(([a, b]) => `${text(a)}-${text(b)}`));
    assert.ok(Array.isArray(elements));
    const covered = new Set<number>();
    let last = -1;
    for (const element of elements) {
      const [a, b] = element.split("-").map((end: string) => ipaddr.IPv4.parse(end).octets[3]!);
      assert.ok(a! > last + 1 || last === -1, "elements are ascending and apart");
      for (let n = a!; n <= (b ?? a!); n++) covered.add(n);
      last = b ?? a!;
    }
    for (let n = 0; n <= 40; n++) {
      assert.equal(covered.has(n), ranges.some(([a, b]) => a <= n && n <= b), text(n));
    }
  }));
});
