import assert from "node:assert/strict";
import fc from "fast-check";
import type { PeerConfig } from "./types.ts";
import { checkPeers, diffPeers, keyFromHex, keyToHex, type PeerTable, routesOf } from "./plan.ts";
import type { PeerSet } from "./backend.ts";

const hex = (n: number) => n.toString(16).padStart(2, "0").repeat(32);
const base64 = (n: number) => keyFromHex(hex(n));
const OWN = hex(0xee);

function peer(n: number, change: Partial<PeerConfig> = {}): PeerConfig {
  return {
    publicKey: base64(n),
    endpoint: `127.0.0.${n}:9002`,
    allowedIps: [`100.64.0.${n}/32`],
    keepaliveSeconds: 20,
    ...change,
  };
}

const check = (peers: PeerConfig[], applied: PeerTable = new Map()) =>
  checkPeers(peers, applied, OWN);

/** As a device has them: it numbers no sessions. */
const withoutSessions = (table: PeerTable): PeerTable =>
  new Map([...table].map(([key, { session: _, ...peer }]) => [key, peer]));

/**
 * What a device with `table` has after `changes`: prefixes move, absent fields stay.
 *
 * @param replaces as wg(8), which forgets a peer's prefixes whenever it is given any
 */
function apply(table: PeerTable, changes: PeerSet[], replaces = false): PeerTable {
  const next: PeerTable = new Map([...table].map(([key, value]) => [key, structuredClone(value)]));
  for (const change of changes) {
    const key = change.publicKey;
    if (change.remove) {
      next.delete(key);
      continue;
    }
    if (change.updateOnly) assert.ok(next.has(key));
    const target = next.get(key) ?? { keepaliveSeconds: 0, allowedIps: [] };
    next.set(key, target);
    if (change.endpoint !== undefined) target.endpoint = change.endpoint;
    if (change.keepaliveSeconds !== undefined) target.keepaliveSeconds = change.keepaliveSeconds;
    const forget = replaces && change.allowedIps !== undefined;
    if (change.replaceAllowedIps || forget) target.allowedIps = [];
    for (const prefix of change.allowedIps ?? []) {
      for (const other of next.values()) {
        other.allowedIps = other.allowedIps.filter((held) => held !== prefix);
      }
      target.allowedIps.push(prefix);
    }
    target.allowedIps.sort();
  }
  return next;
}

Deno.test("plan changes nothing when nothing is different", () => {
  const { wanted } = check([peer(1), peer(2)]);
  assert.deepEqual(diffPeers(wanted, check([peer(2), peer(1)], wanted).wanted), []);
});

Deno.test("plan adds a peer whole, removes one, and wakes one with a new endpoint", () => {
  const { wanted: before } = check([peer(1), peer(2), peer(3)]);
  const { wanted } = check([peer(2, { endpoint: "192.0.2.1:5" }), peer(3), peer(4)], before);
  assert.deepEqual(diffPeers(before, wanted), [
    { publicKey: hex(1), remove: true },
    {
      publicKey: hex(2),
      updateOnly: true,
      endpoint: "192.0.2.1:5",
      keepaliveSeconds: 20,
      wake: true,
    },
    {
      publicKey: hex(4),
      replaceAllowedIps: true,
      endpoint: "127.0.0.4:9002",
      keepaliveSeconds: 20,
      allowedIps: ["100.64.0.4/32"],
    },
  ]);
});

Deno.test("plan removes a peer and adds it whole when it is to have another session", () => {
  const { wanted: before } = check([peer(1), peer(2)]);
  const { wanted } = check([peer(1), peer(2, { session: 1 })], before);
  assert.deepEqual(diffPeers(before, wanted), [
    { publicKey: hex(2), remove: true },
    {
      publicKey: hex(2),
      replaceAllowedIps: true,
      endpoint: "127.0.0.2:9002",
      keepaliveSeconds: 20,
      allowedIps: ["100.64.0.2/32"],
    },
  ]);
  assert.deepEqual(diffPeers(wanted, check([peer(1), peer(2, { session: 1 })]).wanted), []);
  // What a device has by itself is nobody's old session.
  assert.deepEqual(diffPeers(withoutSessions(before), wanted), []);
});

Deno.test("plan leaves an endpoint alone when none is wanted any more", () => {
  const { wanted: before } = check([peer(1)]);
  const { endpoint: _, ...silent } = peer(1);
  const { wanted } = check([silent], before);
  assert.deepEqual(diffPeers(before, wanted), []);
  // Asked for again, it is set again: the peer may have roamed meanwhile.
  assert.equal(diffPeers(wanted, before)[0]!.endpoint, "127.0.0.1:9002");
});

Deno.test("plan adds allowed IPs without forgetting the others", () => {
  const { wanted: before } = check([peer(1)]);
  const more = check([peer(1, { allowedIps: ["100.64.0.1", "10.0.0.0/8"] })], before).wanted;
  assert.deepEqual(diffPeers(before, more), [
    { publicKey: hex(1), updateOnly: true, allowedIps: ["10.0.0.0/8", "100.64.0.1/32"] },
  ]);
  assert.deepEqual(diffPeers(more, before), [{
    publicKey: hex(1),
    updateOnly: true,
    replaceAllowedIps: true,
    allowedIps: ["100.64.0.1/32"],
  }]);
  assert.deepEqual([...routesOf(more)].sort(), ["10.0.0.0/8", "100.64.0.1/32"]);
});

Deno.test("plan leaves out what is malformed and keeps the rest", () => {
  const { wanted, skipped } = check([
    peer(1, { publicKey: "short" }),
    peer(1, { publicKey: base64(1).slice(0, -1) + "\n" }),
    peer(0),
    peer(0xee),
    peer(2, { endpoint: "invalid AddrPort", keepaliveSeconds: -1, allowedIps: ["0.0.0.0/0", "x"] }),
    peer(3),
    peer(3),
  ]);
  assert.deepEqual([...wanted.keys()], [hex(2), hex(3)]);
  assert.deepEqual(wanted.get(hex(2)), { keepaliveSeconds: 0, allowedIps: [], session: 0 });
  assert.equal(skipped.length, 9);
  for (const { subject } of skipped) assert.ok(!/[\n\r]/.test(subject));
});

Deno.test("plan gives a prefix to its holder, else to the first that asks", () => {
  const both = [
    peer(1, { allowedIps: ["10.0.0.0/8"] }),
    peer(2, { allowedIps: ["10.1.1.1/8", "10.2.0.0/16"] }),
  ];
  const first = check(both);
  assert.deepEqual(first.wanted.get(hex(1))!.allowedIps, ["10.0.0.0/8"]);
  assert.deepEqual(first.wanted.get(hex(2))!.allowedIps, ["10.2.0.0/16"]);
  assert.equal(first.skipped.length, 1);
  const turned = check(both.toReversed(), first.wanted);
  assert.deepEqual(diffPeers(first.wanted, turned.wanted), []);
  // Once the holder lets go, the other gets it.
  const moved = check([peer(1), both[1]!], first.wanted);
  assert.deepEqual(moved.wanted.get(hex(2))!.allowedIps, ["10.0.0.0/8", "10.2.0.0/16"]);
});

Deno.test("plan brings any device from any set of peers to any other", () => {
  const peers = fc.uniqueArray(
    fc.record({
      publicKey: fc.integer({ min: 1, max: 5 }).map(base64),
      endpoint: fc.constantFrom("127.0.0.3:9002", "192.0.2.1:5", "[fd00::1]:7"),
      allowedIps: fc.array(fc.constantFrom("10.0.0.0/8", "10.1.0.0/16", "fd00::1", "100.64.0.1")),
      keepaliveSeconds: fc.constantFrom(0, 20, 25),
      session: fc.constantFrom(0, 1),
    }),
    { selector: (value) => value.publicKey },
  );
  fc.assert(fc.property(peers, peers, (from, to) => {
    const before = check(from).wanted;
    const { wanted } = check(to, before);
    for (const replaces of [false, true]) {
      const after = apply(withoutSessions(before), diffPeers(before, wanted), replaces);
      assert.deepEqual(new Map([...after].sort()), new Map([...withoutSessions(wanted)].sort()));
    }
  }));
});

Deno.test("plan reads keys strictly", () => {
  assert.equal(keyToHex(base64(7)), hex(7));
  const url = base64(0xff).replaceAll("/", "_");
  for (const bad of ["", base64(7).slice(0, 43), ` ${base64(7).slice(1)}`, url, `${base64(7)}=`]) {
    assert.equal(keyToHex(bad), undefined);
  }
});
