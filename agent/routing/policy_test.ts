import { deepEqual, equal, match, ok } from "node:assert/strict";
import { UNDERLAY_MARK } from "../host/mod.ts";
import { routesOf, rulesOf, type Want } from "./policy.ts";

const WANT: Want = {
  networks: ["10.1.0.0/16", "fd00:1::/64"],
  defaults: ["0.0.0.0/0"],
  outside: ["203.0.113.3", "2001:db8::3"],
  notByExit: ["10.0.0.2"],
  onlyForwarded: false,
};
const priorities = (rules: string[]) => rules.map((rule) => Number(rule.split(" ")[1]));

Deno.test("rules except servers first, then the host's own routes, then networks, then the rest", () => {
  deepEqual(rulesOf(WANT, 4, 0, "wg0"), [
    "pref 29009 nop",
    `pref 29000 fwmark 0x${UNDERLAY_MARK.toString(16)}/0xffff0000 goto 29009`,
    "pref 29000 to 203.0.113.3 goto 29009",
    "pref 29001 lookup main suppress_prefixlength 0",
    "pref 29002 lookup 29000",
    "pref 29003 to 169.254.0.0/16 goto 29009",
    "pref 29003 to 224.0.0.0/3 goto 29009",
    "pref 29003 to 10.0.0.2 goto 29009",
    "pref 29004 lookup 29001",
  ]);
  deepEqual(
    rulesOf(WANT, 6, 0, "wg0").filter((rule) => /lookup| to /.test(rule)).map((rule) =>
      rule.slice(11)
    ),
    ["to 2001:db8::3 goto 29009", "lookup main suppress_prefixlength 0", "lookup 29000"],
  );
});

Deno.test("rules are none when nothing is routed, and touch no family that has nothing", () => {
  const none = { ...WANT, networks: [], defaults: [] };
  deepEqual([...rulesOf(none, 4, 0, "wg0"), ...rulesOf(none, 6, 0, "wg0")], []);
  deepEqual(rulesOf({ ...WANT, networks: ["10.1.0.0/16"] }, 6, 0, "wg0"), []);
});

Deno.test("rules and tables of two interfaces share nothing when their numbers differ", () => {
  const [one, other] = [0, 1].map((slot) => new Set(priorities(rulesOf(WANT, 4, slot, "wg0"))));
  ok([...one!].every((priority) => !other!.has(priority)));
  deepEqual(routesOf(WANT, 4, 1, "wg1"), [
    "10.1.0.0/16 dev wg1 table 29010",
    "0.0.0.0/0 dev wg1 table 29011",
  ]);
  deepEqual(routesOf(WANT, 6, 1, "wg1"), ["fd00:1::/64 dev wg1 table 29010"]);
});

Deno.test("rules of a relay send to an exit node only what came out of the tunnel", () => {
  const rules = rulesOf({ ...WANT, onlyForwarded: true }, 4, 0, "wg0");
  equal(rules.at(-1), "pref 29004 iif wg0 lookup 29001");
});

Deno.test("rules are bounded in number, whatever a name resolves to", () => {
  const outside = Array.from({ length: 5000 }, (_, i) => `198.18.${i >> 8}.${i & 255}`);
  const rules = rulesOf({ ...WANT, outside }, 4, 0, "wg0");
  ok(rules.length < 300);
  match(rules.at(-1)!, /lookup 29001/);
});
