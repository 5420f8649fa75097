import assert from "node:assert/strict";
import { explainer } from "./explain.ts";
import type { PathEvent, Peer, PeerPlan, Self } from "../types.ts";

const NOW = 1_000_000;

const SELF: Self = {
  publicKey: "A",
  symmetric: false,
  relayOnly: false,
  reflexive: "203.0.113.1:1000",
  ipv4Cidr: "100.64.0.0/10",
  ipv6Cidr: "200::/64",
};

function planOf(change: Partial<PeerPlan> = {}, peer: Partial<Peer> = {}): PeerPlan {
  return {
    peer: {
      id: "b",
      hostname: "b",
      publicKey: "B",
      allowedIps: ["100.64.0.2/32"],
      local: "192.168.2.10:1000",
      reflexive: "203.0.113.2:2000",
      symmetric: false,
      online: true,
      notes: [],
      ...peer,
    } as Peer,
    method: "via-derp-relay",
    code: "peer-symmetric",
    reason: "",
    allowedIps: [],
    keepaliveSeconds: 20,
    configured: true,
    healthy: true,
    history: [],
    probes: { speaks: false, search: [], busy: false },
    ...change,
  } as PeerPlan;
}

const why = (plan: PeerPlan, self: Partial<Self> = {}, others: PeerPlan[] = []) =>
  explainer({ self: { ...SELF, ...self }, plans: [plan, ...others], relay: "r", now: NOW })(plan)
    .filter(({ method }) => !method.includes("ipv6"))
    .map(({ method, reason }) => `${method}: ${reason}`);

Deno.test("explain says of each better way what is missing, and leaves out what is not about it", () => {
  assert.deepEqual(why(planOf({}, { symmetric: true })), [
    "direct-local: not behind the same NAT",
    "reflexive: the peer's NAT is symmetric",
  ]);
  assert.deepEqual(why(planOf(), { relayOnly: true }), [
    "direct-local: this host uses relays only",
    "reflexive: this host uses relays only",
  ]);
  assert.deepEqual(why(planOf({ method: "reflexive", code: "both-cone" })), [
    "direct-local: not behind the same NAT",
  ]);
  assert.deepEqual(why(planOf({ method: "direct-local" })), []);
  assert.deepEqual(why(planOf({ method: "none", code: "no-method" })), []);
});

Deno.test("explain tells when a usable way was tried, and what came of it", () => {
  const history = (event: PathEvent["event"], ago: number): PathEvent[] => [
    { at: NOW - ago, event, method: "reflexive" },
  ];
  const last = (plan: PeerPlan) => why(plan).at(-1);
  assert.equal(
    last(planOf({ history: history("probe-failed", 12_000) })),
    "reflexive: nothing came back when it was tried 12 s ago; it is tried again",
  );
  assert.equal(
    last(planOf({ history: history("suspect", 300_000) })),
    "reflexive: it went silent when it was tried 5 min ago; it is tried again",
  );
  assert.equal(last(planOf({ history: history("probe", 1) })), "reflexive: it is being tried now");
  assert.equal(last(planOf({ code: "peer-moved" })), "reflexive: the peer came this way");
  assert.equal(last(planOf()), "reflexive: it is tried from time to time");
});

Deno.test("explain names the VPC's relay when it does not answer", () => {
  const relay = planOf({ healthy: false, method: "relay-node-peer" }, {
    hostname: "hub",
    publicKey: "H",
    relay: true,
  });
  assert.equal(
    why(planOf({}, { symmetric: true }), {}, [relay]).at(-1),
    "via-relay: the VPC's relay hub does not answer",
  );
});
