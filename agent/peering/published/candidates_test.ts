import assert from "node:assert/strict";
import fc from "fast-check";
import type { Device } from "../../../control/api/types.ts";
import { fakeDevice } from "../../testing/fake_control.ts";
import { chooseCandidates, MAX_PEERS, type Self } from "../mod.ts";

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
  reflexive: "203.0.113.1:40000",
  local: "192.168.1.2:40000",
  tunnelIpv4: "100.64.0.1",
  tunnelIpv6: "200::1",
  ipv4Cidr: "100.64.0.0/10",
  ipv6Cidr: "200::/64",
};
const NO_RELAYS = { derp: new Set<string>(), undecided: new Set<string>() };

const device = (n: number, more: Partial<Device> = {}): Device => ({
  ...fakeDevice(`d${String(n).padStart(5, "0")}`, keyOf(n), n),
  ...more,
});
const choose = (devices: Device[], relays = NO_RELAYS) => chooseCandidates(devices, SELF, relays);

Deno.test("candidates of a plain device have its addresses and endpoints", () => {
  const { peers, skipped } = choose([device(2)]);
  assert.deepEqual(skipped, []);
  assert.deepEqual(peers, [{
    id: "d00002",
    hostname: "host-2",
    publicKey: keyOf(2),
    tunnelIpv4: "100.64.0.2",
    tunnelIpv6: "200::2",
    allowedIps: ["100.64.0.2/32", "200::2/128"],
    local: "192.168.2.2:51820",
    reflexive: "203.0.113.2:51820",
    symmetric: false,
    online: true,
    notes: [],
  }]);
});

Deno.test("candidates leave out own and deleted devices without a word", () => {
  const own = device(0, { id: "self" }), ownKey = device(5, { public_key: keyOf(0) });
  assert.deepEqual(choose([own, ownKey, device(6, { public_key: "" })]), {
    peers: [],
    skipped: [],
  });
});

Deno.test("candidates skip a malformed device and keep all others", () => {
  const low = new Uint8Array(32).toBase64();
  const bad: [Partial<Device>, string][] = [
    [{ public_key: "not-a-key" }, "bad-key"],
    [{ public_key: "illegal base64 data!!" }, "bad-key"],
    [{ public_key: keyOf(3).slice(0, 40) }, "bad-key"],
    [{ public_key: low }, "bad-key"],
    [{ public_key: keyOf(2) }, "duplicate-key"],
    [{ ipv4_tunnel_ips: [], ipv6_tunnel_ips: [] }, "no-tunnel-address"],
    [
      { ipv4_tunnel_ips: [{ address: "8.8.8.8", cidr: "8.8.8.0/24" }], ipv6_tunnel_ips: [] },
      "no-tunnel-address",
    ],
    [
      { ipv4_tunnel_ips: [{ address: "100.64.0.1", cidr: "" }], ipv6_tunnel_ips: [] },
      "no-tunnel-address",
    ],
    [
      { ipv4_tunnel_ips: [{ address: "100.64.0.2", cidr: "" }], ipv6_tunnel_ips: [] },
      "no-tunnel-address",
    ],
    [
      { ipv4_tunnel_ips: [{ address: "junk", cidr: "" }], ipv6_tunnel_ips: [] },
      "no-tunnel-address",
    ],
  ];
  for (const [more, code] of bad) {
    const { peers, skipped } = choose([device(9), device(3, more), device(2)]);
    // The malformed one sorts behind the device whose key or address it claims.
    assert.deepEqual(peers.map((p) => p.id), ["d00002", "d00009"], code);
    assert.deepEqual(skipped.map((s) => s.code), [code]);
    assert(skipped[0]!.reason.length > 0);
  }
});

Deno.test("candidates keep a device that publishes no endpoints, or rubbish", () => {
  const rubbish = [
    "invalid AddrPort",
    "",
    "127.0.0.1:9002",
    "127.9.9.9:40000",
    "[::1]:40000",
    "0.0.0.0:40000",
    "224.0.0.1:40000",
    "169.254.169.254:80",
    "255.255.255.255:1",
    "192.168.1.9:0",
    "192.168.1.9:70000",
    "192.168.1.9",
    "host.example:40000",
    "100.64.0.9:40000", // inside the tunnel
    "192.168.1.2:40000", // this host
    "203.0.113.1:40000", // this host from outside
    "[::ffff:127.0.0.1]:40000",
    "0x7f.1:40000",
  ];
  for (const address of rubbish) {
    for (const source of ["local", "stun:"]) {
      const { peers } = choose([device(2, { endpoints: [{ source, address }] })]);
      assert.equal(peers.length, 1, address);
      assert.equal(peers[0]!.local, undefined, address);
      assert.equal(peers[0]!.reflexive, undefined, address);
      assert.equal(peers[0]!.notes.length, 1, address);
    }
  }
  for (const endpoints of [null, []]) {
    assert.equal(choose([device(2, { endpoints })]).peers.length, 1);
  }
});

Deno.test("candidates take the first local endpoint and the last other one, whatever its source", () => {
  const [peer] = choose([device(2, {
    endpoints: [
      { source: "local", address: "10.0.0.1:1" },
      { source: "local", address: "10.0.0.2:2" },
      { source: "stun:", address: "198.51.100.1:3" },
      { source: "stun:stun1.l.google.com:19302", address: "198.51.100.1:4" },
      { source: "stun:", address: "rubbish" },
    ],
  })]).peers;
  assert.equal(peer!.local, "10.0.0.1:1");
  assert.equal(peer!.reflexive, "198.51.100.1:4");
});

Deno.test("candidates route to a device its own addresses and the networks that it advertises", () => {
  const [peer] = choose([device(2, {
    allowed_ips: ["100.64.0.2", "200::2", "100.64.0.9/32", "0.0.0.0/0", "junk", "10.0.0.0/8"],
    advertise_cidrs: ["10.0.0.0/8", "fd00:1::/64"],
  })]).peers;
  assert.deepEqual(peer!.allowedIps, ["100.64.0.2/32", "200::2/128"]);
  assert.deepEqual(peer!.networks, ["10.0.0.0/8", "fd00:1::/64"]);
  assert.deepEqual(peer!.notes, [
    "allowed IP 100.64.0.9/32 is not its address",
    "allowed IP 0.0.0.0/0 is not its address",
    "allowed IP junk is no prefix",
  ]);
});

Deno.test("candidates bound what they tell of a device, and leave control characters out", () => {
  const advertise_cidrs = Array.from(
    { length: 256 },
    (_, i) => `\u001b[31m${i}.${"9".repeat(400)}`,
  );
  const [peer] = choose([device(2, { advertise_cidrs })]).peers;
  assert.equal(peer!.notes.length, 8);
  for (const note of peer!.notes) {
    assert(note.length <= 240);
    assert.doesNotMatch(note, /\p{Cc}/u);
  }
});

Deno.test("candidates take no address from a VPC range that no VPC has", () => {
  const victims = [
    device(2),
    device(3, {
      ipv4_tunnel_ips: [{ address: "198.51.100.7", cidr: "" }],
      ipv6_tunnel_ips: [{ address: "2001:db8::1", cidr: "" }],
    }),
  ];
  for (
    const [ipv4Cidr, ipv6Cidr] of [
      ["0.0.0.0/0", "::/0"],
      ["0.0.0.0/1", "2000::/3"],
      ["198.0.0.0/7", "2000::/6"],
      ["127.0.0.0/8", "fe80::/10"],
      ["169.254.0.0/16", "ff02::/16"],
      ["169.0.0.0/8", "fe00::/7"],
      ["224.0.0.0/4", "::/8"],
      ["", "rubbish"],
    ] as const
  ) {
    const { peers, skipped } = chooseCandidates(
      victims,
      { ...SELF, ipv4Cidr, ipv6Cidr },
      NO_RELAYS,
    );
    assert.deepEqual(peers, [], ipv4Cidr);
    assert.deepEqual(skipped.map((s) => s.code), ["no-tunnel-address", "no-tunnel-address"]);
  }
  const wide = { ...SELF, ipv4Cidr: "100.0.0.0/8", ipv6Cidr: "200::/7" };
  assert.equal(chooseCandidates(victims, wide, NO_RELAYS).peers.length, 1);
});

Deno.test("candidates take an address for the family it is listed under only", () => {
  const [peer] = choose([device(2, { ipv4_tunnel_ips: [{ address: "200::2", cidr: "" }] })]).peers;
  assert.equal(peer!.tunnelIpv4, undefined);
  assert.deepEqual(peer!.allowedIps, ["200::2/128"]);
});

Deno.test("candidates take no relay for a peer, nor one whose kind is not known yet", () => {
  const relays = { derp: new Set(["d00002"]), undecided: new Set(["d00003"]) };
  const { peers, skipped } = choose([device(2), device(3), device(4)], relays);
  assert.deepEqual(peers.map((p) => p.id), ["d00004"]);
  assert.deepEqual(skipped.map((s) => s.code), ["relay-device", "relay-undecided"]);
});

Deno.test("candidates are bounded in number", () => {
  const devices = Array.from({ length: MAX_PEERS + 5 }, (_, i) =>
    device(i + 2, {
      ipv4_tunnel_ips: [{ address: `100.65.${(i + 2) >> 8}.${(i + 2) & 255}`, cidr: "" }],
    }));
  const { peers, skipped } = choose(devices);
  assert.equal(peers.length, MAX_PEERS);
  assert.deepEqual([...new Set(skipped.map((s) => s.code))], ["too-many-peers"]);
});

Deno.test("candidates never throw, whatever a device says", () => {
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom("1.2.3.4/33", "::/129", "1.2.3.4/", "/", "::%eth0"),
  );
  const texts = fc.array(text, { maxLength: 5 });
  const ips = texts.map((list) => list.map((address) => ({ address, cidr: "" })));
  fc.assert(fc.property(texts, texts, ips, ips, (allowed_ips, advertise_cidrs, v4, v6) => {
    choose([device(2, {
      allowed_ips,
      advertise_cidrs,
      ipv4_tunnel_ips: v4,
      ipv6_tunnel_ips: v6,
      endpoints: allowed_ips.map((address) => ({ source: "stun:", address })),
    })]);
  }));
});
