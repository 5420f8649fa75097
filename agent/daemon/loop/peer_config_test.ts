import assert from "node:assert/strict";
import type { PeerPlan } from "../../peering/mod.ts";
import { peerConfig } from "./peer_config.ts";

Deno.test("WireGuard routes neither networks behind a peer nor stand-ins for its addresses", () => {
  const plan = {
    peer: { publicKey: "K" },
    allowedIps: ["100.64.0.2/32", "10.0.0.0/24"],
    keepaliveSeconds: 20,
  } as unknown as PeerPlan;
  assert.deepEqual(peerConfig(plan), {
    publicKey: "K",
    allowedIps: ["100.64.0.2/32", "10.0.0.0/24"],
    keepaliveSeconds: 20,
  });
  const crossing = {
    self: [],
    peer: [{ own: "100.64.0.2/32", alias: "244.64.0.2/32" }],
    sending: true,
  };
  assert.deepEqual(
    peerConfig({ ...plan, endpoint: "192.0.2.1:1", networks: ["10.0.0.0/24"], crossing }),
    {
      publicKey: "K",
      allowedIps: ["100.64.0.2/32", "10.0.0.0/24", "244.64.0.2/32"],
      routes: ["100.64.0.2/32"],
      keepaliveSeconds: 20,
      endpoint: "192.0.2.1:1",
    },
  );
});
