/**
 * One pass of the loop: what the control plane wants and what WireGuard and the proxy show become a
 * plan, and the plan is applied. A pass can be repeated at any time; it touches only what changed.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { keyFromBase64 } from "../../../relay/derp/mod.ts";
import type { WatchCache } from "../../api/mod.ts";
import { reasonOf } from "../../errors.ts";
import type { HostFacts } from "../../host/mod.ts";
import {
  chooseRelays,
  type NetworkWish,
  type Observed,
  type Peer,
  type PeerHistory,
  type PeerPlan,
  plan,
  type Probed,
  type PublicRelay,
  type RelayTarget,
  type Self,
  type Skipped,
  type SteadyClock,
} from "../../peering/mod.ts";
import type { PeerStats, WireGuardDevice } from "../../wireguard/mod.ts";
import { LastCandidates } from "./candidates.ts";
import type { RelayProxy } from "../doors.ts";
import type { Paths } from "../outside/mod.ts";
import { peerConfig } from "./peer_config.ts";
import type { HostRooms } from "./rooms.ts";

const log = getLogger(["nexd", "agent"]);

/**
 * Up to this many peers all have a loopback endpoint, also those reached directly: when the other
 * side falls back to the relay first, its packets find the way in and WireGuard follows.
 */
const STANDBY_PEERS = 1024;
/** A new path usually works, or fails its first handshake, within this time, ms. */
const SETTLING = 6_000;
/** What one pass works on. */
interface Parts {
  self: Self;
  cache: WatchCache;
  device: WireGuardDevice;
  /** Undefined on the VPC's relay, which reaches nobody through relays. */
  proxy: RelayProxy | undefined;
  publicRelays: readonly PublicRelay[];
  /** Port of relays that publish none. */
  relayPort: number;
  rooms: HostRooms;
  networks: NetworkWish;
  /** Probes of paths; undefined before they run. */
  paths: Pick<Paths, "follow" | "probed" | "carriedOut"> | undefined;
  /** Addresses can have stand-ins on this host while a peer goes from behind the VPC's relay or there. */
  crosses: boolean;
  /** Where this host, as a relay, met its peers, by public key. */
  seenAt: ReadonlyMap<string, string>;
  /** What the rooms are told beside what the pass finds. */
  host: Pick<HostFacts, "device" | "vpc" | "servers">;
}

/** What the last pass found; status is made from it. */
export interface Outcome {
  plans: PeerPlan[];
  skipped: Skipped[];
  stats: ReadonlyMap<string, PeerStats>;
  relayReason: string;
  /** What probes have found out by public key; times are steady. */
  probed?: ReadonlyMap<string, Probed>;
}

/** Keeps what passes need of each other. */
export class Reconciler {
  outcome: Outcome = { plans: [], skipped: [], stats: new Map(), relayReason: "" };
  #history: ReadonlyMap<string, PeerHistory> = new Map();
  #device: WireGuardDevice | undefined;
  readonly #candidates = new LastCandidates();
  #loopback = new Map<string, string>();
  #proxyTrouble = new Map<string, string>();
  #relays: readonly RelayTarget[];
  #wakeAt = Infinity;
  readonly #clock: SteadyClock;

  /** @param relays the relays that the proxy knows */
  constructor(relays: readonly RelayTarget[], clock: SteadyClock) {
    this.#relays = relays;
    this.#clock = clock;
  }

  /** True while a method was applied a moment ago and has not shown yet that it works. */
  get unsettled(): boolean {
    const now = this.#clock.now();
    return this.outcome.plans.some(({ healthy, peer }) => {
      const appliedAt = this.#history.get(peer.publicKey)?.appliedAt ?? 0;
      return !healthy && now - appliedAt < SETTLING;
    });
  }

  /** How long the next pass may wait for what the plan has to do at its time, ms. */
  get due(): number {
    return Math.max(0, this.#wakeAt - this.#clock.now());
  }

  /** One pass. Throws when the device or the proxy fails as a whole; the next pass tries again. */
  async pass(parts: Parts): Promise<void> {
    const { self, cache, device, proxy } = parts;
    if (device !== this.#device) this.#startOver(device);
    const devices = cache.devices();
    const choice = chooseRelays({
      devices,
      metadata: cache.metadata(),
      metadataComplete: cache.synced,
      publicRelays: parts.publicRelays,
      defaultPort: parts.relayPort,
    });
    if (choice.relays !== undefined && proxy !== undefined) {
      this.#useRelays(choice.relays, choice.reason, proxy);
    }
    const { peers, skipped } = this.#candidates.choose(devices, self, choice, parts.networks);
    if (proxy !== undefined) await this.#addToProxy(peers, self, proxy);

    const stats = new Map((await device.stats()).map((row) => [row.publicKey, row]));
    const probed = parts.paths?.probed(peers.map(({ publicKey }) => publicKey)) ?? new Map();
    const { plans, history, wakeAt } = plan({
      self,
      peers,
      ...this.#relayFacts(proxy),
      loopback: this.#loopback,
      observed: this.#clock.observe(stats.values()) as ReadonlyMap<string, Observed>,
      probed,
      crosses: parts.crosses,
      seenAt: parts.seenAt,
      history: this.#history,
      now: this.#clock.now(),
      wall: this.#clock.wall(),
    });
    this.#history = history;
    this.#wakeAt = wakeAt;
    this.#report(plans);
    parts.paths?.follow(plans);
    const facts: HostFacts = {
      ...parts.host,
      interfaceName: device.name,
      self,
      devices,
      securityGroups: cache.securityGroups(),
      synced: cache.synced,
      plans,
      relays: this.#relays,
    };
    this.outcome = {
      plans,
      skipped,
      stats,
      probed,
      relayReason: choice.relays ? choice.reason : "",
    };
    await this.#prepare(parts.rooms, facts, device);
    // The proxy has had every endpoint before WireGuard hears of it: the first handshake is not lost.
    await device.setPeers(plans.filter((p) => p.configured).map(peerConfig));
    await parts.rooms.apply(facts);
    parts.paths?.carriedOut(plans);
    if (proxy === undefined) return;
    await this.#removeFromProxy(new Set(peers.map((peer) => peer.publicKey)), proxy);
  }

  /** What has to be there before peers are reached. Without it those that are there go. */
  async #prepare(rooms: HostRooms, facts: HostFacts, device: WireGuardDevice): Promise<void> {
    try {
      await rooms.prepare(facts);
    } catch (error) {
      await device.setPeers([]);
      // Their sessions go with them: the next pass begins as with a new device.
      this.#device = undefined;
      throw error;
    }
  }

  #relayFacts(proxy: RelayProxy | undefined) {
    if (proxy === undefined) return {};
    const { home: relay, homeSince, present: heard } = proxy;
    if (homeSince === undefined) return { relay, heard };
    return { relay, heard, relaySince: this.#clock.now() - (performance.now() - homeSince) };
  }

  /** A new device has no sessions and its counters begin at zero; what was learnt of paths stays. */
  #startOver(device: WireGuardDevice): void {
    this.#device = device;
    const appliedAt = this.#clock.now();
    this.#history = new Map(
      [...this.#history].map((
        [key, { rxBase: _rx, traffic: _traffic, stage: _stage, beside: _beside, ...history }],
      ) => [key, { ...history, appliedAt, awaitedAt: appliedAt }] as const),
    );
  }

  #useRelays(relays: RelayTarget[], reason: string, proxy: RelayProxy): void {
    if (JSON.stringify(relays) === JSON.stringify(this.#relays)) return;
    log.info("relays: {reason}", { reason });
    proxy.setRelays(relays);
    this.#relays = relays;
  }

  async #addToProxy(peers: Peer[], self: Self, proxy: RelayProxy): Promise<void> {
    for (const peer of peers) {
      if (this.#loopback.has(peer.publicKey)) continue;
      if (peers.length > STANDBY_PEERS && !this.#needsRelay(peer, self)) continue;
      try {
        this.#loopback.set(peer.publicKey, await proxy.addPeer(keyFromBase64(peer.publicKey)));
        this.#proxyTrouble.delete(peer.publicKey);
      } catch (error) {
        const reason = reasonOf(error);
        if (this.#proxyTrouble.get(peer.publicKey) === reason) continue;
        this.#proxyTrouble.set(peer.publicKey, reason);
        log.warn("no loopback endpoint for {peer}: {reason}", { peer: peer.hostname, reason });
      }
    }
  }

  #needsRelay(peer: Peer, self: Self): boolean {
    const history = this.#history.get(peer.publicKey);
    return self.symmetric || self.relayOnly || peer.symmetric || peer.reflexive === undefined ||
      (history?.failed.length ?? 0) > 0 || history?.method === "via-derp-relay";
  }

  async #removeFromProxy(wanted: ReadonlySet<string>, proxy: RelayProxy): Promise<void> {
    for (const key of [...this.#loopback.keys()]) {
      if (wanted.has(key)) continue;
      this.#loopback.delete(key);
      this.#proxyTrouble.delete(key);
      try {
        await proxy.removePeer(keyFromBase64(key));
      } catch (error) {
        log.warn("removing a loopback endpoint: {reason}", { reason: reasonOf(error) });
      }
    }
  }

  /** Logs changes of method and health, not the search for a peer that is away. */
  #report(plans: PeerPlan[]): void {
    const before = new Map(this.outcome.plans.map((p) => [p.peer.publicKey, p]));
    for (const next of plans) {
      const last = before.get(next.peer.publicKey);
      const fields = { peer: next.peer.hostname, method: next.method, reason: next.reason };
      if (last === undefined || (last.method !== next.method && (last.healthy || next.healthy))) {
        log.info("{peer}: {method}: {reason}", fields);
      }
      if (last !== undefined && last.healthy !== next.healthy) {
        log.info(next.healthy ? "{peer}: reached, {method}" : "{peer}: lost, {method}", fields);
      }
      for (const note of next.peer.notes) {
        if (!last?.peer.notes.includes(note)) {
          log.warn("{peer}: {note}", { peer: next.peer.hostname, note });
        }
      }
    }
  }
}
