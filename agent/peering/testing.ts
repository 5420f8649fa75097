/** For tests of the planner: two hosts, and passes against a scripted WireGuard. */
import { encodeTold, type Stage, type Told } from "./crossing/mod.ts";
import { slotOf } from "./health/mod.ts";
import {
  type Observed,
  type Peer,
  type PeerHistory,
  type PeerPlan,
  plan,
  type Probed,
  type Self,
} from "./mod.ts";
import { markOf } from "./ways/mod.ts";

export const SELF_KEY: string = "A".repeat(43) + "=",
  PEER_KEY: string = "B".repeat(43) + "=",
  RELAY_KEY: string = "C".repeat(43) + "=";
export const LOOPBACK = "127.0.0.3:9002";

export const SELF: Self = {
  id: "self",
  publicKey: SELF_KEY,
  symmetric: false,
  relayOnly: false,
  reflexive: "203.0.113.1:40000",
  local: "192.168.1.2:40000",
  tunnelIpv4: "100.64.0.1",
  ipv4Cidr: "100.64.0.0/10",
  ipv6Cidr: "200::/64",
};

export const PEER: Peer = {
  id: "peer",
  hostname: "peer",
  publicKey: PEER_KEY,
  tunnelIpv4: "100.64.0.2",
  allowedIps: ["100.64.0.2/32", "200::2/128"],
  local: "192.168.1.3:40000",
  reflexive: "203.0.113.2:40000",
  symmetric: false,
  online: true,
  notes: [],
};
export const SAME_NAT: Peer = { ...PEER, reflexive: "203.0.113.1:40001" };
/** The VPC's WireGuard relay. */
export const VPC_RELAY: Peer = {
  ...PEER,
  id: "relay",
  hostname: "vpc-relay",
  publicKey: RELAY_KEY,
  tunnelIpv4: "100.64.0.9",
  allowedIps: ["100.64.0.9/32", "200::9/128"],
  local: "192.168.9.9:51820",
  reflexive: "203.0.113.9:51820",
  relay: true,
};

/** Runs passes against a scripted WireGuard. */
export class Run {
  now = 1_700_000_000_000;
  history: ReadonlyMap<string, PeerHistory> = new Map();
  observed: Observed | undefined;
  last!: PeerPlan;
  self: Self;
  peer: Peer;
  relay: string | undefined = "relay.lab";
  loopback: string | undefined = LOOPBACK;
  /** A WireGuard relay in the VPC, which is answering or is not. */
  vpcRelay: Peer | undefined;
  /** Since when this host is at its DERP relay, and whether the peer was heard there lately. */
  relaySince: number | undefined;
  heard = false;
  vpcRelayAnswers = true;
  relayPlan: PeerPlan | undefined;
  wakeAt = Infinity;
  /** Where this host, as a relay, met the peer before. */
  seenAt: string | undefined;
  /** What probes say of the peer: endpoints that answer, and those that are silent, since when. */
  probes: { answers: string[]; silent?: Record<string, number> } | undefined;
  /** What the peer says of itself, and since when. */
  told: (Told & { since: number }) | undefined;
  /** Addresses can have stand-ins here. */
  crosses = true;
  /** How far the clock on the wall is ahead of the one that only goes forward, ms. */
  ahead = 0;

  constructor(self: Partial<Self> = {}, peer: Partial<Peer> = {}) {
    this.self = { ...SELF, ...self };
    this.peer = { ...PEER, ...peer };
    // Just behind the start of a probing slot, so that none begins within a short test.
    while (slotOf(SELF_KEY, PEER_KEY, this.now) === slotOf(SELF_KEY, PEER_KEY, this.now - 1000)) {
      this.now += 500;
    }
  }

  /** One pass after `ms`. */
  pass(ms = 0): PeerPlan {
    this.now += ms;
    const observed = new Map<string, Observed>();
    if (this.observed !== undefined) observed.set(PEER_KEY, this.observed);
    if (this.vpcRelay !== undefined && this.vpcRelayAnswers && this.relayPlan !== undefined) {
      observed.set(RELAY_KEY, {
        endpoint: this.relayPlan.endpoint!,
        lastHandshake: this.now,
        rxBytes: this.now,
        txBytes: this.now,
      });
    }
    const result = plan({
      self: this.self,
      peers: [this.peer, ...(this.vpcRelay === undefined ? [] : [this.vpcRelay])],
      ...(this.relay === undefined ? {} : { relay: this.relay }),
      loopback: new Map(this.loopback === undefined ? [] : [[PEER_KEY, this.loopback]]),
      observed,
      history: this.history,
      ...(this.relaySince === undefined ? {} : { relaySince: this.relaySince }),
      heard: new Set(this.heard ? [PEER_KEY] : []),
      probed: new Map(this.probes === undefined ? [] : [[PEER_KEY, this.#probed()]]),
      crosses: this.crosses,
      seenAt: new Map(this.seenAt === undefined ? [] : [[PEER_KEY, this.seenAt]]),
      now: this.now,
      wall: this.now + this.ahead,
    });
    this.history = result.history;
    this.relayPlan = result.plans[1];
    this.wakeAt = result.wakeAt;
    return this.last = result.plans[0]!;
  }

  #probed(): Probed {
    const { answers, silent = {} } = this.probes!;
    return {
      speaks: true,
      answered: new Map(answers.map((endpoint) => [endpoint, { at: this.now, rttMs: 5 }])),
      silent: new Map(Object.entries(silent)),
      ...(this.told === undefined
        ? {}
        : { told: { word: encodeTold(this.told), since: this.told.since, at: this.now } }),
    };
  }

  /** The peer says that it is as far, and reaches the VPC's relay. */
  tell(stage: Stage, more: Partial<Told> = {}): void {
    this.told = { stage, crosses: true, carrier: markOf(RELAY_KEY), since: this.now, ...more };
  }

  /** Passes every 2 s for `ms`. */
  passFor(ms: number): PeerPlan {
    for (let t = 0; t < ms; t += 2000) this.pass(2000);
    return this.last;
  }

  /** Passes until the plan is as wanted; throws when it is not after ten minutes. */
  passUntil(wanted: (plan: PeerPlan) => boolean, step = 250): PeerPlan {
    const began = this.now;
    while (!wanted(this.last)) {
      if (this.now - began > 600_000) {
        throw new Error(`the plan is still ${this.last.method}, ${this.last.code}`);
      }
      this.pass(step);
    }
    return this.last;
  }

  /** The peer answers on the planned endpoint: handshake and bytes. */
  answer(endpoint = this.last.endpoint): void {
    const { rxBytes = 0, txBytes = 0 } = this.observed ?? {};
    this.observed = {
      rxBytes: rxBytes + 124,
      txBytes: txBytes + 180,
      lastHandshake: this.now,
      ...(endpoint === undefined ? {} : { endpoint }),
    };
  }

  /** The peer answers for `ms`, a handshake every two minutes. */
  healthyFor(ms: number): PeerPlan {
    for (let t = 0; t < ms; t += 2000) {
      const handshake = t % 120_000 === 0;
      const before = this.observed?.lastHandshake;
      this.answer(this.observed?.endpoint ?? this.last.endpoint);
      if (!handshake && before !== undefined) this.observed!.lastHandshake = before;
      this.pass(2000);
    }
    return this.last;
  }
}
