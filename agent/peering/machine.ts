/**
 * One peer's walk through the methods: a working copy of its history and the steps on it.
 *
 * A peer leaves a failing method for the next usable one, starts again at the top when nothing
 * later is left, and stays where it is healthy. From a worse method it looks up again from time to
 * time, in slots that both sides compute alike from their keys and the clock, because two NATs
 * open only when both sides send.
 *
 * @module
 */
import {
  assess,
  type Health,
  NEVER_HEALTHY_LIMIT,
  PROBE_INTERVAL,
  slotOf,
  startOfSlot,
  SUSPECT_AFTER,
  withEvent,
} from "./health/mod.ts";
import {
  type Method,
  type MethodContext,
  methodOf,
  METHODS,
  nameOf,
  type Verdict,
  type VpcRelay,
} from "./methods.ts";
import type { MethodId, Observed, PathEventCode, Peer, PeerHistory, Self } from "./types.ts";

/**
 * How long a better method may take to show life, ms. Short, because what is sent meanwhile is lost
 * when it does not. The other side may come later by its clock: WireGuard then follows it.
 */
export const PROBE_LIMIT = 3_000;

/** Time between two searches because a device changed, ms; doubled like the probes. */
export const CHANGE_PAUSE = 60_000;

/** What does not change while one peer is planned. */
interface Situation {
  self: Self;
  peer: Peer;
  relay: string | undefined;
  vpcRelay: VpcRelay | undefined;
  loopback: string | undefined;
  observed: Observed | undefined;
  now: number;
  /** What the path depends on is another than before. */
  changed: boolean;
  /** The control plane says that the peer is back. */
  returned: boolean;
}

/** A peer's history being advanced by one pass. */
export class PeerMachine {
  readonly h: PeerHistory;
  readonly #s: Situation;
  health: Health;

  /** @param history a copy this object may change */
  constructor(history: PeerHistory, situation: Situation) {
    this.h = history;
    this.#s = situation;
    this.health = this.#assess();
  }

  /** One pass: choose, judge, adopt, probe or move on. */
  step(): void {
    const { h } = this;
    if (this.#s.changed) this.#changed();
    else if (this.#s.returned && !this.#answered()) {
      this.#note("peer-online");
      this.#lookAgain();
    }
    if (h.method === undefined || !this.#mayStay(h.method)) {
      const first = this.#first(h.failed);
      if (first?.name !== h.method) {
        if (h.method !== undefined) this.#note("unusable");
        this.#apply(first);
        this.#note("chosen");
      }
    }
    this.#followHealth();
    if (h.method === undefined || this.#adopt()) return;
    if (h.probe !== undefined) this.#judgeProbe();
    else if (this.health.failed || this.health.suspect) this.#fail(h.method);
    else if (this.health.healthy) this.#lookUp(h.method);
  }

  /** Whether a method can be used now. */
  verdict(name: MethodId): Verdict {
    return methodOf(name).applicable(this.context());
  }

  /** Whether the current method may go on. Where the peer has moved to need not be usable by itself. */
  #mayStay(current: MethodId): boolean {
    const { self, peer } = this.#s;
    if (this.h.adopted === undefined) return this.verdict(current).usable;
    return !self.relay && !peer.relay && !(self.relayOnly && methodOf(current).direct);
  }

  /** What methods look at. */
  context(failed: MethodId[] = this.h.failed): MethodContext {
    const { self, peer, relay, vpcRelay, loopback } = this.#s;
    const directFailed = METHODS.some((m) => m.direct && failed.includes(m.name));
    return { self, peer, relay, vpcRelay, loopback, directFailed };
  }

  /** When the next pass has something to do that cannot wait for its turn, ms; or Infinity. */
  get wakeAt(): number {
    const { h } = this, { self, peer, now } = this.#s;
    if (h.probe !== undefined) return h.probe.startedAt + PROBE_LIMIT;
    const suspectAt = (h.traffic?.askedAt ?? -Infinity) + SUSPECT_AFTER;
    const next = suspectAt > now ? suspectAt : Infinity;
    if (h.method === undefined || this.#better(h.method) === undefined) return next;
    return Math.min(next, startOfSlot(self.publicKey, peer.publicKey, this.#slot() + 1));
  }

  /** A way is being tried, by this side or by the peer: both have to show life in time. */
  get trying(): boolean {
    const { probe, adoptedAt } = this.h;
    return probe !== undefined ||
      (adoptedAt !== undefined && this.#s.now - adoptedAt < PROBE_LIMIT);
  }

  #assess(): Health {
    const { observed, vpcRelay, now } = this.#s;
    if (this.h.method !== "via-relay") return assess(this.h, observed, now);
    // The peer is not in WireGuard: it is as well as the relay.
    const healthy = vpcRelay?.healthy === true;
    return { healthy, suspect: false, failed: !healthy, evidence: healthy };
  }

  #followHealth(): void {
    const { h } = this, { now } = this.#s;
    if (!this.health.healthy) {
      delete h.healthySince;
      return;
    }
    h.lastHealthyAt = now;
    if (h.healthySince === undefined) {
      h.healthySince = now;
      if (h.probe === undefined) this.#note("healthy");
    }
    // It has lasted: what was in vain before is forgotten.
    const lasts = now - h.healthySince >= PROBE_INTERVAL && methodOf(h.method!).direct;
    if (lasts) h.probesFailed = 0;
  }

  #note(event: PathEventCode): void {
    const { h } = this;
    h.events = withEvent(h.events, { at: this.#s.now, event, method: nameOf(h.method) });
  }

  #slot(): number {
    const { self, peer, now } = this.#s;
    return slotOf(self.publicKey, peer.publicKey, now);
  }

  #apply(method: Method | undefined): void {
    const { h } = this;
    if (method === undefined) delete h.method;
    else h.method = method.name;
    h.appliedAt = this.#s.now;
    h.slot = this.#slot();
    delete h.adopted;
    delete h.adoptedAt;
    delete h.probe;
    delete h.rxBase;
    delete h.lastHealthyAt;
    delete h.healthySince;
    this.health = this.#assess();
  }

  /** The best usable method, one that has not failed before one that has. */
  #first(failed: MethodId[]): Method | undefined {
    const context = this.context(failed);
    const usable = METHODS.filter((method) => method.applicable(context).usable);
    return usable.find((method) => !failed.includes(method.name)) ?? usable[0];
  }

  /** The best usable method above another one. */
  #better(current: MethodId): Method | undefined {
    const context = this.context();
    return METHODS.slice(0, METHODS.indexOf(methodOf(current)))
      .find((method) => method.applicable(context).usable);
  }

  /** A handshake may be there before the news that the peer is: then the search is over already. */
  #answered(): boolean {
    const { h } = this;
    return h.lastHealthyAt !== undefined ||
      (this.#s.observed?.lastHandshake ?? -Infinity) >= h.appliedAt;
  }

  /**
   * The peer or this host has changed: a reason to look again at once, but not each time for one
   * whose address changes all the time. Its new endpoint is used in any case.
   */
  #changed(): void {
    const { h } = this, { now } = this.#s;
    this.#note("device-changed");
    const pause = CHANGE_PAUSE * 2 ** Math.min(h.probesFailed, 3);
    if (h.changedAt !== undefined && now - h.changedAt < pause) return;
    h.changedAt = now;
    this.#lookAgain();
  }

  /** What works is kept while better ways are tried; what does not is searched for from the top. */
  #lookAgain(): void {
    const { h } = this;
    h.failed = [];
    delete h.probe;
    const works = h.method !== undefined && h.lastHealthyAt !== undefined && this.health.healthy;
    if (!works) return this.#apply(undefined);
    const from = h.method!, better = this.#better(from);
    if (better === undefined) return;
    this.#apply(better);
    h.probe = { from, startedAt: this.#s.now };
    this.#note("probe");
  }

  /**
   * WireGuard follows the peer's last good packet. When that came another way than planned and
   * works, the plan follows too instead of pulling the path apart again.
   */
  #adopt(): boolean {
    const { h } = this, { observed, loopback, peer, self } = this.#s;
    const at = observed?.endpoint;
    if (at === undefined || h.probe !== undefined || !this.health.healthy) return false;
    if (self.relay || peer.relay || h.method === "via-relay") return false;
    const relayed = at === loopback;
    if (relayed === !methodOf(h.method!).direct || (!relayed && self.relayOnly)) return false;
    if (!relayed && isLoopback(at)) return false;
    h.method = relayed ? "via-derp-relay" : at === peer.local ? "direct-local" : "reflexive";
    h.adopted = at;
    h.adoptedAt = this.#s.now;
    h.slot = this.#slot();
    this.#note("peer-moved");
    return true;
  }

  #fail(current: MethodId): void {
    const { h } = this, { now } = this.#s;
    const event = this.health.failed ? "failed" : "suspect";
    const failed = [...new Set([...h.failed, current])];
    const context = this.context(failed);
    const next = METHODS.slice(METHODS.indexOf(methodOf(current)) + 1)
      .find((method) => method.applicable(context).usable);
    // A direct way that came and went is looked for less often, so that nothing flaps.
    const went = h.lastHealthyAt !== undefined && now - h.appliedAt < PROBE_INTERVAL;
    if (went && methodOf(current).direct) h.probesFailed++;
    if (next !== undefined) {
      this.#note(event);
      h.failed = failed;
      this.#apply(next);
      this.#note("chosen");
      return;
    }
    const first = this.#first([]);
    this.#note(event);
    // Only suspect, and nothing else or only what failed before: a relay may soon be back.
    const silent = now - (h.lastHealthyAt ?? h.appliedAt);
    const again = first === undefined || first.name === current ||
      (h.failed.includes(first.name) && silent < NEVER_HEALTHY_LIMIT);
    if (again && !this.health.failed) return;
    h.failed = [];
    this.#apply(first);
    this.#note("chosen");
  }

  #lookUp(current: MethodId): void {
    const { h } = this, { now } = this.#s;
    const slot = this.#slot();
    if (slot <= h.slot || slot % 2 ** Math.min(h.probesFailed, 3) !== 0) return;
    const better = this.#better(current);
    if (better === undefined) return;
    this.#apply(better);
    h.probe = { from: current, startedAt: now };
    this.#note("probe");
  }

  /** Keeps a probe that shows life on a direct endpoint; undoes it when its time is up. */
  #judgeProbe(): void {
    const { h } = this, { observed, loopback, now } = this.#s;
    const { from, startedAt } = h.probe!;
    const current = h.method!;
    const straight = current === "via-relay" ||
      (observed?.endpoint !== undefined && observed.endpoint !== loopback);
    if (now - startedAt < PROBE_LIMIT / 2) return;
    if (this.health.evidence && straight) {
      h.failed = h.failed.filter((name) => name !== current);
      delete h.probe;
      this.#note("probe-kept");
    } else if (now - startedAt >= PROBE_LIMIT) {
      const failed = [...new Set([...h.failed, current])];
      this.#apply(methodOf(from));
      h.failed = failed;
      h.probesFailed++;
      h.lastHealthyAt = now; // it was healthy until the probe began
      this.#note("probe-failed");
    }
  }
}

function isLoopback(endpoint: string): boolean {
  return endpoint.startsWith("127.") || endpoint.startsWith("[::1]");
}
