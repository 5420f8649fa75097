import assert from "node:assert/strict";
import fc from "fast-check";
import type { SecurityGroup, SecurityRule } from "../../control/api/types.ts";
import { policyOf } from "./rules.ts";

function rule(more: Partial<SecurityRule> = {}): SecurityRule {
  return { ip_protocol: "tcp", from_port: 0, to_port: 0, ...more };
}

function group(more: Partial<SecurityGroup>): SecurityGroup {
  return { id: "g", vpc_id: "v", description: "", revision: 1, ...more };
}

const inbound = (...rules: SecurityRule[]) => {
  const { policy, notes } = policyOf(group({ inbound_rules: rules }));
  return { matches: policy.inbound, notes };
};

Deno.test("a direction without rules is open, and only that", () => {
  assert.deepEqual(policyOf(group({})), { policy: {}, notes: [] });
  assert.deepEqual(policyOf(group({ inbound_rules: [], outbound_rules: [] })).policy, {});
  const { policy } = policyOf(group({ outbound_rules: [rule()] }));
  assert.deepEqual(Object.keys(policy), ["outbound"]);
});

Deno.test("every protocol lets through its own families and kind", () => {
  const seen = Object.fromEntries(
    ["", "ipv4", "ipv6", "tcp", "udp", "icmp", "icmpv4", "icmpv6"].map((ip_protocol) => [
      ip_protocol,
      inbound(rule({ ip_protocol })).matches,
    ]),
  );
  assert.deepEqual(seen, {
    "": [{ family: 4 }, { family: 6 }],
    ipv4: [{ family: 4 }],
    ipv6: [{ family: 6 }],
    tcp: [{ family: 4, protocol: "tcp" }, { family: 6, protocol: "tcp" }],
    udp: [{ family: 4, protocol: "udp" }, { family: 6, protocol: "udp" }],
    icmp: [{ family: 4, protocol: "icmp" }],
    icmpv4: [{ family: 4, protocol: "icmp" }],
    icmpv6: [{ family: 6, protocol: "ipv6-icmp" }],
  });
});

Deno.test("ports and addresses narrow a rule, each family with its own addresses", () => {
  const ports = { from_port: 80, to_port: 90 };
  const ip_ranges = ["10.0.0.0/8", "200::1"];
  assert.deepEqual(inbound(rule({ ...ports, ip_ranges })), {
    matches: [
      { family: 4, addresses: ["10.0.0.0-10.255.255.255"], protocol: "tcp", ports: [80, 90] },
      { family: 6, addresses: ["200::1"], protocol: "tcp", ports: [80, 90] },
    ],
    notes: [],
  });
  assert.deepEqual(inbound(rule({ ip_protocol: "ipv4", ...ports })).matches, [
    { family: 4, protocol: "tcp, udp", ports: [80, 90] },
  ]);
  assert.deepEqual(inbound(rule({ ip_protocol: "icmp", ip_ranges })).matches, [
    { family: 4, addresses: ["10.0.0.0-10.255.255.255"], protocol: "icmp" },
    { family: 6, addresses: ["200::1"], protocol: "ipv6-icmp" },
  ]);
});

Deno.test("a rule that cannot be understood lets nothing through and is told", () => {
  const bad: [Partial<SecurityRule>, RegExp][] = [
    [{ ip_protocol: "sctp" }, /unknown protocol "sctp"/],
    [{ ip_protocol: "__proto__" }, /unknown protocol/],
    [{ ip_protocol: "tcp; flush ruleset" }, /unknown protocol/],
    [{ from_port: 80, to_port: 8 }, /ports 80 to 8/],
    [{ from_port: 0, to_port: 8 }, /ports 0 to 8/],
    [{ from_port: -1, to_port: -1 }, /ports -1/],
    [{ from_port: 1, to_port: 65536 }, /65536/],
    [{ from_port: 1.5, to_port: 2 }, /1.5/],
    [{ ip_ranges: ["nonsense"] }, /"nonsense" is no address range/],
    [{ ip_protocol: "ipv4", ip_ranges: ["200::1"] }, /ipv4 has no IPv6 addresses/],
    [{ ip_protocol: "icmpv6", ip_ranges: ["10.0.0.1"] }, /icmpv6 has no IPv4 addresses/],
  ];
  for (const [more, note] of bad) {
    const { matches, notes } = inbound(rule(more));
    assert.deepEqual(matches, [], JSON.stringify(more));
    assert.equal(notes.length, 1);
    assert.match(notes[0]!, note);
    assert.match(notes[0]!, /^inbound rule 1 lets nothing through: /);
  }
  const part = inbound(rule({ ip_ranges: ["x", "10.0.0.1"] }));
  assert.deepEqual(part.matches, [{ family: 4, addresses: ["10.0.0.1"], protocol: "tcp" }]);
  assert.match(part.notes[0]!, /is used in part: "x"/);
});

Deno.test("rules are bounded in number, in ranges and in what is told of them", () => {
  const many = inbound(...Array.from({ length: 300 }, () => rule()));
  assert.equal(many.matches!.length, 2 * 256);
  assert.match(many.notes.join(), /after the first 256/);
  const ip_ranges = Array.from({ length: 250 }, (_, i) => `10.0.${i}.1`);
  const wide = inbound(...Array.from({ length: 40 }, () => rule({ ip_ranges })));
  assert.equal(wide.matches!.length, 32);
  assert.equal(wide.notes.length, 8);
  const bad = inbound(...Array.from({ length: 100 }, () => rule({ ip_protocol: "\x1b[31m?" })));
  assert.deepEqual(bad.matches, []);
  assert.match(bad.notes.at(-1)!, /92 more/);
  assert.ok(bad.notes.every((note) => !/\p{Cc}/u.test(note)));
});

Deno.test("a group never becomes open by what its rules hold", () => {
  const anything = fc.record({
    ip_protocol: fc.oneof(fc.constantFrom("", "tcp", "icmp", "ipv6"), fc.string()),
    from_port: fc.oneof(fc.constant(0), fc.integer(), fc.double()),
    to_port: fc.oneof(fc.constant(0), fc.integer(), fc.double()),
    ip_ranges: fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string(), fc.constant("10.0.0.0/8"))),
  });
  fc.assert(fc.property(fc.array(anything, { minLength: 1, maxLength: 20 }), (rules) => {
    const { policy } = policyOf(group({ inbound_rules: rules, outbound_rules: rules }));
    assert.ok(policy.inbound !== undefined && policy.outbound !== undefined);
    for (const { addresses, ports } of policy.inbound) {
      assert.ok(addresses?.every((text) => /^[0-9a-f.:-]+$/.test(text)) ?? true);
      assert.ok(ports?.every((port) => Number.isInteger(port) && port > 0 && port < 65536) ?? true);
    }
  }));
});
