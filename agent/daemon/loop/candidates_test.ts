import assert from "node:assert/strict";
import type { Device } from "../../../control/api/types.ts";
import type { Self } from "../../peering/mod.ts";
import { LastCandidates } from "./candidates.ts";

const self = {
  id: "self",
  publicKey: "",
  tunnelIpv4: "100.64.0.1",
  ipv4Cidr: "100.64.0.0/10",
  ipv6Cidr: "200::/64",
} as Self;

const none = { derp: new Set<string>(), undecided: new Set<string>() };

function device(n: number, endpoint = "198.51.100.1:51820"): Device {
  return {
    id: `device-${n}`,
    hostname: `host-${n}`,
    public_key: new Uint8Array(32).fill(n).toBase64(),
    ipv4_tunnel_ips: [{ address: `100.64.0.${n}`, cidr: self.ipv4Cidr }],
    ipv6_tunnel_ips: [],
    allowed_ips: [],
    endpoints: [{ source: "stun:", address: endpoint }],
  } as unknown as Device;
}

Deno.test("candidates are worked out again when a device, this host or a relay changes, and only then", () => {
  const candidates = new LastCandidates();
  const devices = [device(9), device(10)];
  const first = candidates.choose(devices, self, none);
  assert.deepEqual(first.peers.map((peer) => peer.hostname), ["host-10", "host-9"]);
  assert.equal(candidates.choose([...devices], { ...self }, none), first);

  const moved = candidates.choose([devices[0]!, device(10, "198.51.100.2:1")], self, none);
  assert.equal(moved.peers[0]!.reflexive, "198.51.100.2:1");
  assert.equal(candidates.choose([devices[0]!], self, none).peers.length, 1);
  assert.equal(candidates.choose([], self, none).peers.length, 0);
  assert.equal(candidates.choose(devices, self, none).peers.length, 2);
  const relay = { ...none, derp: new Set(["device-9"]) };
  assert.equal(candidates.choose(devices, self, relay).peers.length, 1);
  const taken = { ...self, tunnelIpv4: "100.64.0.9" };
  assert.equal(candidates.choose(devices, taken, none).peers.length, 1);
  const wish = { own: ["10.0.0.0/8"] };
  const own = candidates.choose(devices, self, none, wish);
  assert.equal(candidates.choose(devices, self, none, { ...wish }), own);
  const exit = { healthy: () => true };
  assert.notEqual(
    candidates.choose(devices, self, none, { exit }),
    candidates.choose(devices, self, none, { exit }),
  );
});
