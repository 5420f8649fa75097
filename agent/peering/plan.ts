/**
 * Which way to each peer: a pure function of what is known, what is observed and what was tried.
 *
 * @module
 */
import { followTraffic } from "./health.ts";
import { methodOf, PeerMachine, slotOf } from "./machine.ts";
import { METHODS } from "./methods.ts";
import type { Observed, Peer, PeerHistory, PeerPlan, Self } from "./types.ts";

/** Persistent keepalive of every peer, seconds. */
export const KEEPALIVE_SECONDS = 20;

/** Everything a plan depends on. */
interface PlanInput {
  self: Self;
  peers: Peer[];
  /** Name of the DERP relay in use. */
  relay?: string;
  /** Loopback endpoints (`127.a.b.c:9002`) by public key. */
  loopback: ReadonlyMap<string, string>;
  /** WireGuard's statistics by public key. */
  observed: ReadonlyMap<string, Observed>;
  /** What the last pass returned. */
  history: ReadonlyMap<string, PeerHistory>;
  /** ms since the epoch */
  now: number;
}

/** The plan, and what the next pass has to be given. */
interface PlanResult {
  plans: PeerPlan[];
  history: Map<string, PeerHistory>;
}

/** Decides for all peers; changes nothing that it was given. */
export function plan(input: PlanInput): PlanResult {
  const history = new Map<string, PeerHistory>();
  const plans = input.peers.map((peer) => {
    const machine = machineOf(input, peer);
    machine.step();
    history.set(peer.publicKey, machine.h);
    return describe(machine, peer);
  });
  return { plans, history };
}

function machineOf(input: PlanInput, peer: Peer): PeerMachine {
  const { self, now } = input;
  const observed = input.observed.get(peer.publicKey);
  const before = input.history.get(peer.publicKey);
  const fingerprint = JSON.stringify([
    peer.local,
    peer.reflexive,
    peer.symmetric,
    peer.allowedIps,
    self.symmetric,
    self.reflexive,
  ]);
  // A handshake may be there before the news that the peer is: then the search is over already.
  const answered = (observed?.lastHandshake ?? -Infinity) >= (before?.appliedAt ?? Infinity);
  const returned = before?.online === false && peer.online &&
    before.lastHealthyAt === undefined && !answered;
  const kept = before?.fingerprint === fingerprint && !returned;
  const h: PeerHistory = kept ? { ...before, online: peer.online } : {
    fingerprint,
    online: peer.online,
    appliedAt: now,
    failed: [],
    probesFailed: 0,
    slot: slotOf(self.publicKey, peer.publicKey, now),
  };
  const traffic = followTraffic(before?.traffic, observed, now);
  if (traffic === undefined) delete h.traffic;
  else h.traffic = traffic;
  // Bytes that came while the method was being applied prove nothing: count from the next pass on.
  if (h.rxBase === undefined && observed !== undefined && now > h.appliedAt) {
    h.rxBase = observed.rxBytes;
  }
  return new PeerMachine(h, {
    self,
    peer,
    relay: input.relay,
    loopback: input.loopback.get(peer.publicKey),
    observed,
    now,
  });
}

function describe(machine: PeerMachine, peer: Peer): PeerPlan {
  const { h, health } = machine;
  if (h.method === undefined) {
    const context = machine.context();
    const reasons = METHODS.map((method) => `${method.name}: ${method.applicable(context).reason}`);
    return {
      peer,
      method: "none",
      code: "no-method",
      reason: `no way to the peer (${reasons.join("; ")})`,
      healthy: health.healthy,
    };
  }
  const base = { peer, method: h.method, healthy: health.healthy };
  if (h.adopted !== undefined) {
    const way = h.method === "via-derp-relay" ? "through the relay" : "directly";
    return { ...base, code: "peer-moved", reason: `the peer speaks ${way}`, endpoint: h.adopted };
  }
  const endpoint = methodOf(h.method).endpoint(machine.context());
  if (h.probe !== undefined) {
    const reason = `trying ${h.method} again; ${h.probe.from} works`;
    return { ...base, code: "probing", reason, endpoint };
  }
  const verdict = machine.verdict(h.method);
  return {
    ...base,
    code: verdict.usable ? verdict.code : "no-method",
    reason: verdict.reason,
    endpoint,
  };
}
