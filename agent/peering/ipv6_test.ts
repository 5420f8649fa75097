import assert from "node:assert/strict";
import { fakeDevice } from "../testing/fake_control.ts";
import { chooseCandidates, NEVER_HEALTHY_LIMIT } from "./mod.ts";
import { LOOPBACK, PEER_KEY, Run, SAME_NAT, SELF, VPC_RELAY } from "./testing.ts";

const MINE = "[2001:db8:a::1]:40000", THEIRS = "[2001:db8:b::1]:40000";
const six = (mine = true, theirs = true) =>
  [mine ? { reflexive6: MINE } : {}, theirs ? { reflexive6: THEIRS } : {}] as const;

Deno.test("plan reaches a peer over IPv6 when IPv4 would need a relay", () => {
  const [self, peer] = six();
  for (const [mine, theirs] of [[true, false], [false, true], [true, true]]) {
    const run = new Run({ ...self, symmetric: mine! }, { ...peer, symmetric: theirs! });
    const chosen = run.pass();
    assert.equal(chosen.method, "reflexive");
    assert.equal(chosen.code, "both-ipv6");
    assert.equal(chosen.endpoint, THEIRS);
    assert.match(chosen.reason, /both have IPv6.*symmetric/);
    assert.equal(run.healthyFor(60_000).endpoint, THEIRS);
  }
});

Deno.test("plan tries IPv4 first between cone NATs, then IPv6, then the relay", () => {
  const run = new Run(...six());
  const endpoints = [run.pass().endpoint];
  for (let i = 0; i < 2; i++) endpoints.push(run.passFor(NEVER_HEALTHY_LIMIT).endpoint);
  assert.deepEqual(endpoints, ["203.0.113.2:40000", THEIRS, LOOPBACK]);
  const tried = run.last.history.map(({ method }) => method);
  assert.deepEqual([...new Set(tried)], ["reflexive", "via-derp-relay"]);
});

Deno.test("plan uses IPv6 only when both have it and relays are not all that is allowed", () => {
  for (const [mine, theirs] of [[true, false], [false, true]]) {
    const [self, peer] = six(mine, theirs);
    assert.equal(new Run({ ...self, symmetric: true }, peer).pass().method, "via-derp-relay");
  }
  const [self, peer] = six();
  const only = new Run({ ...self, relayOnly: true, symmetric: true }, peer);
  assert.equal(only.pass().method, "via-derp-relay");
});

Deno.test("plan reaches a WireGuard relay over IPv6 when that is all it publishes", () => {
  const { reflexive: _, ...relay } = VPC_RELAY;
  const run = new Run(six()[0], { ...relay, ...six()[1], publicKey: PEER_KEY });
  delete run.peer.reflexive;
  assert.equal(run.pass().endpoint, THEIRS);
  delete run.self.reflexive6;
  assert.equal(run.pass(2000).method, "none");
});

Deno.test("plan tries a local IPv6 endpoint only where this host has IPv6", () => {
  const local = "[fd00::9]:40000";
  assert.equal(new Run({}, { ...SAME_NAT, local }).pass().endpoint, SAME_NAT.reflexive);
  assert.equal(new Run({ reflexive6: MINE }, { ...SAME_NAT, local }).pass().endpoint, local);
});

Deno.test("candidates tell outside addresses of both IP versions apart, in any order", () => {
  const four = { source: "stun:", address: "198.51.100.7:4" };
  const other = { source: "stun:x", address: THEIRS };
  const none = { derp: new Set<string>(), undecided: new Set<string>() };
  for (const endpoints of [[four, other], [other, four]]) {
    const key = new Uint8Array(32).fill(9).toBase64();
    const { peers } = chooseCandidates([fakeDevice("p", key, 2, { endpoints })], SELF, none);
    assert.equal(peers[0]!.reflexive, four.address);
    assert.equal(peers[0]!.reflexive6, THEIRS);
  }
});

Deno.test("candidates take no IPv6 endpoint that is this host's own, of the link, or an IPv4 one in disguise", () => {
  const none = { derp: new Set<string>(), undecided: new Set<string>() };
  const self = { ...SELF, reflexive6: MINE };
  const texts = [
    MINE,
    "[fe80::1]:1",
    "[::1]:1",
    "[::]:1",
    "[ff02::1]:1",
    "[64:ff9b::7f00:1]:1",
    "[2002:7f00:1::1]:1",
    "[2001::1]:1",
    "[fe80::1%eth0]:1",
    "[200::7]:1", // inside the tunnel
    "[2001:db8::1]:0",
  ];
  for (const address of texts) {
    for (const source of ["local", "stun:"]) {
      const key = new Uint8Array(32).fill(9).toBase64();
      const device = fakeDevice("p", key, 2, { endpoints: [{ source, address }] });
      const [peer] = chooseCandidates([device], self, none).peers;
      assert.equal(peer!.reflexive6, undefined, address);
      assert.equal(peer!.local, undefined, address);
    }
  }
});
