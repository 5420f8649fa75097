import assert from "node:assert/strict";
import { AgentError } from "../errors.ts";
import type { Crossing } from "../peering/mod.ts";
import { removalOf, rulesOf } from "./rules.ts";

const SELF = [
  { own: "100.64.0.1/32", alias: "244.64.0.1/32" },
  { own: "200::1/128", alias: "100::1/128" },
];
const crossing = (n: number, sending: boolean): Crossing => ({
  self: SELF,
  peer: [
    { own: `100.64.0.${n}/32`, alias: `244.64.0.${n}/32` },
    { own: `200::${n}/128`, alias: `100::${n}/128` },
  ],
  sending,
});

Deno.test("rules take stand-ins from all who cross, and put them in for those who are sent to so", () => {
  assert.equal(
    rulesOf("wg0", [crossing(2, true), crossing(3, false)]),
    `add table inet nexd-crossing-wg0
add chain inet nexd-crossing-wg0 arriving { type filter hook prerouting priority -350; policy accept; }
add chain inet nexd-crossing-wg0 leaving { type filter hook postrouting priority 400; policy accept; }
flush table inet nexd-crossing-wg0
add rule inet nexd-crossing-wg0 arriving iifname "wg0" ip saddr 244.64.0.2 ip saddr set 100.64.0.2
add rule inet nexd-crossing-wg0 arriving iifname "wg0" ip6 saddr 100::2 ip6 saddr set 200::2
add rule inet nexd-crossing-wg0 arriving iifname "wg0" ip saddr 244.64.0.3 ip saddr set 100.64.0.3
add rule inet nexd-crossing-wg0 arriving iifname "wg0" ip6 saddr 100::3 ip6 saddr set 200::3
add rule inet nexd-crossing-wg0 arriving iifname "wg0" ip daddr 244.64.0.1 ip daddr set 100.64.0.1
add rule inet nexd-crossing-wg0 arriving iifname "wg0" ip6 daddr 100::1 ip6 daddr set 200::1
add rule inet nexd-crossing-wg0 leaving oifname "wg0" ip saddr 100.64.0.1 ip daddr 100.64.0.2 ` +
      `ip saddr set 244.64.0.1 ip daddr set 244.64.0.2
add rule inet nexd-crossing-wg0 leaving oifname "wg0" ip6 saddr 200::1 ip6 daddr 200::2 ` +
      `ip6 saddr set 100::1 ip6 daddr set 100::2
`,
  );
});

Deno.test("rules are made for names that mean themselves only", () => {
  for (const name of ["", "wg*", 'wg"0', "a b", "x".repeat(16), "-x"]) {
    assert.throws(() => rulesOf(name, []), AgentError, name);
    assert.throws(() => removalOf(name), AgentError, name);
  }
});
