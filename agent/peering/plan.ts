/**
 * Which way to each peer: a pure function of what is known, what is observed and what was tried.
 *
 * @module
 */
import { aliasesOf, decodeTold, type Heard } from "./crossing/mod.ts";
import { followTraffic, isAway, rests, slotOf } from "./health/mod.ts";
import { PeerMachine } from "./machine.ts";
import { rangesOf } from "./published/mod.ts";
import type { Crossing, Observed, Peer, PeerHistory, PeerPlan, Probed, Self } from "./types.ts";
import {
  chooseCarrier,
  METHODS,
  nameOf,
  relayedPrefixes,
  type RelayState,
  renewSession,
  viewOf,
  type VpcRelay,
} from "./ways/mod.ts";

/** Persistent keepalive of every peer, seconds. */
export const KEEPALIVE_SECONDS = 20;
/** The same during a probe: the first packet opens the own NAT, the next one finds both open. */
const PROBE_KEEPALIVE_SECONDS = 1;

/** What a peer said of itself so long ago is forgotten, ms: changes are told at once. */
const WORD_LIFE = 300_000;

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
  /** What probes have found out by public key; no entry: the peer does not know them. */
  probed?: ReadonlyMap<string, Probed>;
  /** Addresses can have stand-ins on this host (`crossing/`). */
  crosses?: boolean;
  /** Of a relay: where it met its peers before it was started again, by public key. */
  seenAt?: ReadonlyMap<string, string>;
  /** Since when this host is at its DERP relay, in the time of `now`; left out: it is not. */
  relaySince?: number;
  /** Public keys of peers that were heard through a DERP relay lately. */
  heard?: ReadonlySet<string>;
  /** What the last pass returned. */
  history: ReadonlyMap<string, PeerHistory>;
  /** ms, of a clock that only goes forward; handshakes are given in its time. */
  now: number;
  /** The clock on the wall, ms since the epoch, which may be set; `now` when left out. */
  wall?: number;
}

/** The plan, and what the next pass has to be given. */
interface PlanResult {
  plans: PeerPlan[];
  history: Map<string, PeerHistory>;
  /** The next pass should not be later than this, in the time of `now`; Infinity: any time. */
  wakeAt: number;
}

/** Decides for all peers; changes nothing that it was given. */
export function plan(input: PlanInput): PlanResult {
  const machines = new Map<Peer, PeerMachine>();
  const advance = (peer: Peer, vpcRelay: VpcRelay | undefined): PeerMachine => {
    const machine = machineOf(input, peer, vpcRelay);
    machine.step();
    machines.set(peer, machine);
    return machine;
  };
  // The VPC's relay first: how it is decides for those behind it.
  const relays: RelayState[] = input.self.relay ? [] : input.peers
    .filter((peer) => peer.relay)
    .map((peer) => {
      const { h, health, deadAt, inUse, s } = advance(peer, undefined);
      if (deadAt <= input.now) renewSession(h, s.probed?.silent.get(inUse ?? ""));
      return { peer, h, healthy: health.healthy };
    });
  const carrier = chooseCarrier(relays);
  for (const { h } of relays) delete h.carrier;
  if (carrier !== undefined) carrier.h.carrier = true;
  const vpcRelay = carrier === undefined ? undefined : viewOf(carrier, input.now);
  for (const peer of input.peers) if (!machines.has(peer)) advance(peer, vpcRelay);

  const behind = input.peers.filter((peer) => machines.get(peer)!.h.method === "via-relay");
  const plans = input.peers.map((peer) => {
    const carries = peer === carrier?.peer ? [peer, ...behind] : [peer];
    const networks = carries.flatMap((one) => one.networks ?? []);
    return {
      ...describe(machines.get(peer)!, peer),
      // Beside the relay a peer has none: they are the relay's.
      ...(machines.get(peer)!.h.beside !== undefined ? { allowedIps: [] } : {
        allowedIps: [
          ...(peer === carrier?.peer ? relayedPrefixes(input.self, peer, behind) : peer.allowedIps),
          ...networks,
        ],
        ...(networks.length === 0 ? {} : { networks }),
      }),
    };
  });
  return {
    plans,
    history: new Map(input.peers.map((peer) => [peer.publicKey, machines.get(peer)!.h])),
    wakeAt: Math.min(Infinity, ...[...machines.values()].map(({ wakeAt }) => wakeAt)),
  };
}

function machineOf(input: PlanInput, peer: Peer, vpcRelay: VpcRelay | undefined): PeerMachine {
  const { self, now, wall = now } = input;
  const observed = input.observed.get(peer.publicKey);
  const before = input.history.get(peer.publicKey);
  const probed = input.probed?.get(peer.publicKey);
  const fingerprint = JSON.stringify([
    peer.local,
    peer.reflexive,
    peer.reflexive6,
    peer.symmetric,
    peer.relay,
    self.symmetric,
    self.reflexive,
    self.reflexive6,
    self.relay,
  ]);
  const h: PeerHistory = before === undefined
    ? {
      fingerprint,
      online: peer.online,
      since: now,
      appliedAt: now,
      awaitedAt: now,
      failed: [],
      probesFailed: 0,
      slot: slotOf(self.publicKey, peer.publicKey, wall),
      events: [],
    }
    : { ...before, fingerprint, online: peer.online };
  const traffic = followTraffic(before?.traffic, observed, now);
  if (traffic === undefined) delete h.traffic;
  else h.traffic = traffic;
  // Bytes that came while the method was being applied prove nothing: count from the next pass on.
  if (h.rxBase === undefined && observed !== undefined && now > h.appliedAt) {
    h.rxBase = observed.rxBytes;
  }
  const changed = before !== undefined && before.fingerprint !== fingerprint;
  const { online } = peer, { relaySince } = input;
  const heard = input.heard?.has(peer.publicKey) === true;
  const away = !self.relay && !peer.relay && isAway({ online, heard, relaySince });
  // What was in vain before this host was at its relay says nothing.
  h.awaitedAt = changed || !away ? now : Math.max(h.awaitedAt, relaySince!);
  return new PeerMachine(h, {
    self,
    peer,
    relay: input.relay,
    vpcRelay,
    loopback: input.loopback.get(peer.publicKey),
    observed,
    // A relay is reached one way only: probes tell whether it lives, and find no other way.
    probed: peer.relay && probed !== undefined ? { ...probed, speaks: false } : probed,
    heard: heardOf(probed, now),
    crosses: input.crosses === true && vpcRelay !== undefined &&
      standInsOf(self, peer) !== undefined,
    seenAt: input.seenAt?.get(peer.publicKey),
    away,
    now,
    wall,
    changed,
    returned: before?.online === false && peer.online,
  });
}

function heardOf(probed: Probed | undefined, now: number): Heard | undefined {
  const { word = 0, ...when } = probed?.told ?? { since: 0, at: -Infinity };
  const told = decodeTold(word);
  return told === undefined || now - when.at > WORD_LIFE ? undefined : { ...told, ...when };
}

/** Stand-ins for the addresses of both hosts, when all of them can have one. */
function standInsOf(self: Self, peer: Peer): Omit<Crossing, "sending"> | undefined {
  const ranges = rangesOf([self.ipv4Cidr, self.ipv6Cidr]);
  const tunnel = [self.tunnelIpv4, self.tunnelIpv6].filter((text) => text !== undefined);
  const own = aliasesOf(tunnel, ranges), its = aliasesOf(peer.allowedIps, ranges);
  return own && its && { self: own, peer: its };
}

/** The stand-ins in use at a stage between the first and the last. */
function crossingOf({ h, s }: PeerMachine): { crossing?: Crossing } {
  const standIns = h.stage !== undefined && s.crosses && s.heard?.crosses
    ? standInsOf(s.self, s.peer)
    : undefined;
  if (standIns === undefined) return {};
  const { at } = h.stage!;
  return { crossing: { ...standIns, sending: at === 2 || at === 3 } };
}

/** The plan of one peer, without what WireGuard routes to it. */
function describe(machine: PeerMachine, peer: Peer): Omit<PeerPlan, "allowedIps"> {
  const { h, health, probes } = machine;
  const resting = rests(h, machine.s);
  const keepalive = resting ? 0 : KEEPALIVE_SECONDS;
  const base = {
    peer,
    method: nameOf(h.method),
    healthy: health.healthy,
    keepaliveSeconds: machine.trying ? PROBE_KEEPALIVE_SECONDS : keepalive,
    configured: h.method !== "via-relay" || h.beside !== undefined,
    ...crossingOf(machine),
    ...(h.session === undefined ? {} : { session: h.session.number }),
    probes: resting ? { ...probes, search: [], busy: false } : probes,
    history: h.events,
  };
  if (h.method === undefined) {
    const context = machine.context();
    const reasons = METHODS.flatMap(({ name, applicable }) => {
      const verdict = applicable(context);
      return verdict.usable || verdict.moot ? [] : [`${name}: ${verdict.reason}`];
    });
    return { ...base, code: "no-method", reason: `no way to the peer (${reasons.join("; ")})` };
  }
  if (h.adopted !== undefined) {
    const way = h.method === "via-derp-relay" ? "through the relay" : "directly";
    return { ...base, code: "peer-moved", reason: `the peer speaks ${way}`, endpoint: h.adopted };
  }
  const { endpoint } = machine;
  const planned = { ...base, ...(endpoint === undefined ? {} : { endpoint }) };
  if (h.probe !== undefined) {
    const reason = `trying ${nameOf(h.method)} again; ${nameOf(h.probe.from)} works`;
    return { ...planned, code: "probing", reason };
  }
  if (h.beside !== undefined) {
    const { reason } = machine.verdict("via-relay"), name = nameOf(h.beside.method);
    return {
      ...planned,
      code: "probing",
      reason: `${reason}; beside it ${name} is there or tried`,
    };
  }
  const verdict = machine.verdict(h.method);
  if (h.endpoint !== undefined && !verdict.usable) {
    const reason = `the peer answers at ${h.endpoint}, although ${verdict.reason}`;
    return { ...planned, code: "answered", reason };
  }
  return {
    ...planned,
    code: verdict.usable ? verdict.code : "no-method",
    reason: resting
      ? `${verdict.reason}; it is away, and is not called before it calls`
      : verdict.reason,
  };
}
