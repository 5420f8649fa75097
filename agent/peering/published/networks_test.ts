import assert from "node:assert/strict";
import fc from "fast-check";
import type { Device } from "../../../control/api/types.ts";
import { fakeDevice } from "../../testing/fake_control.ts";
import { chooseCandidates, type NetworkWish, type Peer, type Self } from "../mod.ts";
import { MAX_NETWORKS, MAX_PEER_NETWORKS } from "./networks.ts";

const keyOf = (n: number) => {
  const bytes = new Uint8Array(32).fill(9);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes.toBase64();
};
const SELF: Self = {
  id: "self",
  publicKey: keyOf(0),
  symmetric: false,
  relayOnly: false,
  ipv4Cidr: "100.64.0.0/10",
  ipv6Cidr: "200::/64",
};
const NO_RELAYS = { derp: new Set<string>(), undecided: new Set<string>() };

/** Device `n` that advertises. */
const router = (n: number, advertise_cidrs: string[], more: Partial<Device> = {}): Device =>
  fakeDevice(`d${String(n).padStart(5, "0")}`, keyOf(n), n, { advertise_cidrs, ...more });
const peersOf = (devices: Device[], wish?: NetworkWish): Peer[] =>
  chooseCandidates(devices, SELF, NO_RELAYS, wish).peers;
const networksOf = (devices: Device[], wish?: NetworkWish) =>
  peersOf(devices, wish).map((peer) => peer.networks ?? []);

Deno.test("networks are taken in canonical form only when a device advertises them", () => {
  const good = ["10.0.0.0/8", "172.16.42.0/24", "192.0.2.7/32", "fd00:7::/48", "2001:db8::1/128"];
  assert.deepEqual(networksOf([router(2, good)]), [good]);
  for (
    const bad of [
      ...["172.16.42.1/24", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "/8", "junk", "", "fd00::1/64"],
      ...[
        "10.0.0.0/8/8",
        "0x0a.0.0.0/8",
        "10.0.0.0/8 dev eth0",
        "::ffff:10.0.0.0/104",
        "::1%lo/128",
      ],
    ]
  ) {
    const [peer] = peersOf([router(2, [bad, "10.1.0.0/16"])]);
    assert.deepEqual(peer!.networks, ["10.1.0.0/16"], bad);
    assert.equal(peer!.notes.length, 1, bad);
  }
});

Deno.test("networks that are hosts' own, the VPC's or half of all are refused whoever advertises them", () => {
  for (
    const [network, why] of [
      ["127.0.0.0/8", /overlaps 127/],
      ["127.0.0.2/32", /overlaps 127/],
      ["169.254.169.254/32", /overlaps 169\.254/],
      ["239.0.0.0/8", /overlaps 224/],
      ["255.255.255.255/32", /overlaps 224/],
      ["0.0.0.0/8", /overlaps 0/],
      ["fe80::/64", /overlaps fe80/],
      ["ff00::/8", /overlaps ff00/],
      ["::1/128", /overlaps ::/],
      ["100.64.0.9/32", /overlaps the VPC's range/],
      ["100.0.0.0/8", /overlaps the VPC's range/],
      ["200::/64", /overlaps the VPC's range/],
      ["0.0.0.0/1", /wider than \/8/],
      ["128.0.0.0/1", /wider than \/8/],
      ["8000::/1", /wider than \/7/],
    ] as const
  ) {
    const [peer] = peersOf([router(2, [network])]);
    assert.equal(peer!.networks, undefined, network);
    assert.match(peer!.notes.join(), why);
    assert.deepEqual(peer!.allowedIps, ["100.64.0.2/32", "200::2/128"]);
  }
});

Deno.test("networks of two devices go to the same one when the order of arrival changes", () => {
  const first = router(2, ["10.0.0.0/8"]), second = router(3, ["10.0.0.0/8", "10.1.0.0/16"]);
  for (const devices of [[first, second], [second, first]]) {
    const peers = peersOf(devices);
    assert.deepEqual(peers.map((peer) => peer.networks), [["10.0.0.0/8"], ["10.1.0.0/16"]]);
    assert.deepEqual(peers[1]!.notes, ["network 10.0.0.0/8 is taken: host-2 has it"]);
  }
  // Without the first one it is the second one's.
  assert.deepEqual(networksOf([second]), [["10.0.0.0/8", "10.1.0.0/16"]]);
  const [peer] = peersOf([first], { own: ["10.0.0.0/8"] });
  assert.deepEqual(peer!.notes, ["network 10.0.0.0/8 is taken: this host has it"]);
});

Deno.test("networks are bounded for a peer and for all when devices advertise many", () => {
  const many = (n: number) =>
    router(n, Array.from({ length: MAX_PEER_NETWORKS + 5 }, (_, i) => `10.${n}.${i}.0/24`));
  const devices = Array.from({ length: 20 }, (_, i) => many(i + 2));
  const networks = networksOf(devices);
  assert.equal(networks[0]!.length, MAX_PEER_NETWORKS);
  assert.equal(networks.flat().length, MAX_NETWORKS);
});

Deno.test("everything is routed to an exit node only when this host asks for one", () => {
  const all = ["0.0.0.0/0", "::/0"];
  const exit = router(2, [...all, "10.0.0.0/8"]), other = router(3, all);
  const [idle] = peersOf([exit]);
  assert.deepEqual([idle!.networks, idle!.exitNode, idle!.notes], [["10.0.0.0/8"], true, []]);

  const ask = (current: number | undefined, ...healthy: number[]) =>
    peersOf([other, exit, router(4, [])], {
      exit: {
        ...(current === undefined ? {} : { current: keyOf(current) }),
        healthy: (key) => healthy.map(keyOf).includes(key),
      },
    }).flatMap((peer, i) => peer.networks?.includes("0.0.0.0/0") ? [i + 2] : []);
  assert.deepEqual(ask(undefined), [2]);
  assert.deepEqual(ask(undefined, 3), [3]);
  assert.deepEqual(ask(3), [3], "the one in use stays while no other works");
  assert.deepEqual(ask(3, 2, 3), [3]);
  assert.deepEqual(ask(3, 2), [2]);
  assert.deepEqual(ask(9), [2], "the one in use has gone");
  assert.deepEqual(
    networksOf([exit, other], { exit: { healthy: () => false } }),
    [["10.0.0.0/8", ...all], []],
  );
  const v4 = router(2, ["0.0.0.0/0"]);
  assert.deepEqual(networksOf([v4], { exit: { healthy: () => true } }), [["0.0.0.0/0"]]);
});

Deno.test("networks taken are always canonical and never overlap the VPC, whatever is advertised", () => {
  const text = fc.oneof(
    fc.string(),
    fc.tuple(fc.ipV4(), fc.nat(40)).map(([ip, bits]) => `${ip}/${bits}`),
    fc.tuple(fc.ipV6(), fc.nat(140)).map(([ip, bits]) => `${ip}/${bits}`),
  );
  fc.assert(fc.property(fc.array(text, { maxLength: 40 }), (texts) => {
    const taken = networksOf([router(2, texts)]).flat();
    for (const network of taken) assert.match(network, /^[0-9a-f.:]+\/\d{1,3}$/);
    assert(!taken.some((network) => /^(127|0|100\.6[4-9]|22[4-9]|169\.254)\./.test(network)));
  }));
});
