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
  besideRelay,
  conversation,
  isApart,
  landBeside,
  stepAcross,
  wakeAcross,
  yieldToRelay,
} from "./crossing/mod.ts";
import {
  assess,
  type Health,
  isDumb,
  NEVER_HEALTHY_LIMIT,
  PATIENCE,
  PROBE_INTERVAL,
  PROBE_LIMIT,
  rests,
  slotOf,
  startOfSlot,
  SUSPECT_AFTER,
  withEvent,
} from "./health/mod.ts";
import type { Situation } from "./situation.ts";
import type { MethodId, PathEventCode, PathProbes, PeerHistory } from "./types.ts";
import {
  type Confirmed,
  confirmed,
  deadAt,
  holdAfter,
  isBetter,
  isLoopback,
  type Method,
  methodAt,
  type MethodContext,
  methodOf,
  METHODS,
  nameOf,
  probesFor,
  type Verdict,
} from "./ways/mod.ts";

/** A busy path is left alone for so many probing slots: trying a way costs packets. */
const BUSY_SLOTS = 6;

/** Time between two searches because a device changed, ms; doubled like the probes. */
export const CHANGE_PAUSE = 60_000;

/** A peer's history being advanced by one pass. */
export class PeerMachine {
  readonly h: PeerHistory;
  /** What this pass knows. */
  readonly s: Situation;
  health: Health;
  #context: MethodContext & { of: MethodId[] } | undefined;

  /** @param history a copy this object may change */
  constructor(history: PeerHistory, situation: Situation) {
    this.h = history;
    this.s = situation;
    this.health = this.#assess();
  }

  /** One pass: choose, judge, adopt, probe or move on. */
  step(): void {
    const { h } = this;
    if (this.s.changed) this.#changed();
    else if (this.s.returned && !this.#answered()) {
      this.note("peer-online");
      this.#lookAgain();
    }
    yieldToRelay(this);
    const stays = h.method !== undefined && this.#mayStay(h.method);
    if (!stays && !landBeside(this)) {
      const first = this.#first(h.failed);
      if (first?.name !== h.method) {
        if (h.method !== undefined) this.note("unusable");
        this.apply(first);
        this.note("chosen");
      }
    }
    this.#followHealth();
    if (h.method === undefined || this.#adopt()) return;
    stepAcross(this);
    if (h.probe !== undefined) this.#judgeProbe();
    else if (this.health.failed || this.health.suspect) rests(h, this.s) || this.#fail(h.method);
    else if (this.health.healthy && h.stage === undefined) this.#lookUp(h.method);
  }

  /** Whether a method can be used now. */
  verdict(name: MethodId): Verdict {
    return methodOf(name).applicable(this.context());
  }

  /** Whether the current method may go on. Where the peer has moved to need not be usable by itself. */
  #mayStay(current: MethodId): boolean {
    const { self, peer } = this.s;
    if (this.h.adopted === undefined && this.h.endpoint === undefined) {
      const works = this.h.lastHealthyAt !== undefined;
      return methodOf(current).applicable({ ...this.context(), works }).usable;
    }
    return !self.relay && !peer.relay && !(self.relayOnly && methodOf(current).direct);
  }

  /** What methods look at. */
  context(failed: MethodId[] = this.h.failed): MethodContext {
    // Asked many times in a pass, and what failed is a new list each time that it changes.
    if (this.#context?.of === failed) return this.#context;
    const { self, peer, relay, vpcRelay, loopback, probed, observed, seenAt } = this.s;
    const directFailed = METHODS.some((m) => m.direct && failed.includes(m.name));
    const met = observed?.lastHandshake !== undefined;
    const about = { tells: this.s.heard !== undefined, apart: isApart(this.s), seenAt };
    const facts = { self, peer, relay, vpcRelay, loopback, directFailed, probed, met, of: failed };
    return this.#context = Object.assign(facts, about);
  }

  /** The endpoint that is planned for the current method. */
  get endpoint(): string | undefined {
    const { h } = this;
    if (h.method === undefined) return undefined;
    if (h.beside !== undefined) return h.beside.endpoint;
    return h.adopted ?? h.endpoint ?? methodOf(h.method).endpoint(this.context());
  }

  /** What probes shall find out next. */
  get probes(): PathProbes {
    const { now } = this.s;
    const found = probesFor(this.context(), this.h, this.health.healthy, this.inUse, now);
    return { ...found, ...conversation(this) };
  }

  /** Where WireGuard sends, when that is straight to the peer. */
  get inUse(): string | undefined {
    const { observed } = this.s, { method } = this.h;
    if (method === undefined || !methodOf(method).direct) return undefined;
    const at = this.h.probe === undefined ? observed?.endpoint : undefined;
    return at === undefined || isLoopback(at) ? this.endpoint : at;
  }

  /** When the next pass has something to do that cannot wait for its turn, ms; or Infinity. */
  get wakeAt(): number {
    const { h, s: { self, peer, now, wall } } = this;
    if (h.probe !== undefined) return h.probe.startedAt + PROBE_LIMIT;
    const suspectAt = (h.traffic?.askedAt ?? -Infinity) + SUSPECT_AFTER;
    const restAt = this.s.away ? h.awaitedAt + PATIENCE : Infinity;
    let next = Infinity;
    for (const at of [suspectAt, restAt, this.deadAt, wakeAcross(this)]) {
      if (at > now && at < next) next = at;
    }
    if (!this.health.healthy || this.#better(h.method!) === undefined) return next;
    return Math.min(
      next,
      now + startOfSlot(self.publicKey, peer.publicKey, this.#slot() + 1) - wall,
    );
  }

  /** A way is being tried, by this side or by the peer: both have to show life in time. */
  get trying(): boolean {
    const { probe, adoptedAt, beside } = this.h;
    if (beside !== undefined) return (this.s.observed?.lastHandshake ?? 0) < beside.since;
    return probe !== undefined ||
      (adoptedAt !== undefined && this.s.now - adoptedAt < PROBE_LIMIT);
  }

  #assess(): Health {
    const { observed, vpcRelay, now } = this.s;
    if (this.h.method !== "via-relay") {
      const health = assess(this.h, observed, now);
      // Probes know in two seconds what the byte counters tell in twelve.
      return this.deadAt <= now ? { ...health, healthy: false, suspect: true } : health;
    }
    // The peer is not in WireGuard: it is as well as the relay.
    const healthy = vpcRelay?.healthy === true;
    return { healthy, suspect: false, failed: !healthy, evidence: healthy };
  }

  /** When the endpoint in use counts as dead, by what probes say; Infinity: it does not. */
  get deadAt(): number {
    return deadAt(this.inUse, this.s.probed, this.h) ?? Infinity;
  }

  #followHealth(): void {
    const { h } = this, { now } = this.s;
    if (!this.health.healthy) {
      delete h.healthySince;
      return;
    }
    h.lastHealthyAt = h.awaitedAt = now;
    if (h.healthySince === undefined) {
      h.healthySince = now;
      if (h.probe === undefined) this.note("healthy");
    }
    // It has lasted: what was in vain before is forgotten.
    const lasts = now - h.healthySince >= PROBE_INTERVAL && methodOf(h.method!).direct;
    if (lasts) h.probesFailed = 0;
  }

  /** Something happened to a method; by default to the current one. */
  readonly note = (event: PathEventCode, method = this.h.method): void => {
    const { h } = this;
    h.events = withEvent(h.events, { at: this.s.wall, event, method: nameOf(method) });
  };

  #slot(): number {
    const { self, peer, wall } = this.s;
    return slotOf(self.publicKey, peer.publicKey, wall);
  }

  /** Takes a method from now on, or has it since a while. */
  apply(method: Method | undefined, since = this.s.now): void {
    const { h } = this;
    if ((h.method === "via-relay") !== (method?.name === "via-relay")) {
      delete h.stage;
      delete h.beside;
    }
    if (method === undefined) delete h.method;
    else h.method = method.name;
    h.appliedAt = since;
    h.slot = this.#slot();
    delete h.endpoint;
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

  /**
   * The best usable method above another one. Of a peer that knows probes a direct one is none until
   * it has answered; and with one that tells how far it is, the VPC's relay is come to by stages.
   */
  #better(current: MethodId): Method | undefined {
    const context = this.context(), speaks = this.s.probed?.speaks === true;
    return METHODS.find((method) =>
      isBetter(method.name, current) && !(speaks && method.direct) &&
      !(context.tells && method.name === "via-relay") &&
      method.applicable(context).usable
    );
  }

  /** A better direct way that has answered a probe since the current one was taken. */
  #confirmed(current: MethodId): Confirmed | undefined {
    const { h } = this, { now } = this.s;
    const since = Math.max(h.appliedAt, h.adoptedAt ?? -Infinity);
    const hold = (h.changedAt ?? -Infinity) >= since ? 0 : holdAfter(h.probesFailed);
    return now - since < hold
      ? undefined
      : confirmed(this.context(), current, this.inUse, since, now);
  }

  /** A handshake may be there before the news that the peer is: then the search is over already. */
  #answered(): boolean {
    const { h } = this;
    return h.lastHealthyAt !== undefined ||
      (this.s.observed?.lastHandshake ?? -Infinity) >= h.appliedAt;
  }

  /**
   * The peer or this host has changed: a reason to look again at once, but not each time for one
   * whose address changes all the time. Its new endpoint is used in any case.
   */
  #changed(): void {
    const { h } = this, { now } = this.s;
    this.note("device-changed");
    if (this.s.probed?.speaks && this.inUse !== undefined && this.health.healthy) {
      // What is published now takes effect when it has answered: what is in use works.
      h.endpoint ??= this.inUse;
    } else if (h.method !== undefined && this.verdict(h.method).usable) delete h.endpoint;
    if (this.s.probed?.speaks && h.probe !== undefined) return; // it ends by itself
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
    if (!works) return this.apply(undefined);
    const from = h.method!, better = this.#better(from);
    if (better !== undefined) this.#try(better, from);
  }

  /**
   * WireGuard follows the peer's last good packet. When that came another way than planned and
   * works, the plan follows too instead of pulling the path apart again.
   */
  #adopt(): boolean {
    const { h } = this, { observed, loopback, peer, self } = this.s;
    const at = observed?.endpoint;
    if (at === undefined || h.probe !== undefined || !this.health.healthy) return false;
    if (self.relay || peer.relay || h.method === "via-relay") return false;
    const relayed = at === loopback;
    if (relayed === !methodOf(h.method!).direct || (!relayed && self.relayOnly)) return false;
    if (!relayed && isLoopback(at)) return false;
    h.method = relayed ? "via-derp-relay" : methodAt(at, this.context());
    h.adopted = at;
    h.adoptedAt = this.s.now;
    h.slot = this.#slot();
    this.note("peer-moved");
    return true;
  }

  #fail(current: MethodId): void {
    const { h } = this, { now } = this.s;
    const event = this.health.failed ? "failed" : "suspect";
    const failed = [...new Set([...h.failed, current])];
    const context = this.context(failed);
    const next = METHODS.slice(METHODS.indexOf(methodOf(current)) + 1)
      .find((method) => method.applicable(context).usable);
    // A direct way that came and went is looked for less often, so that nothing flaps.
    const went = h.lastHealthyAt !== undefined && now - h.appliedAt < PROBE_INTERVAL;
    if (went && methodOf(current).direct) h.probesFailed++;
    if (next !== undefined) {
      this.note(event);
      h.failed = failed;
      this.apply(next);
      this.note("chosen");
      return;
    }
    const first = this.#first([]);
    this.note(event);
    // Only suspect, and nothing else or only what failed before: a relay may soon be back.
    const silent = now - (h.lastHealthyAt ?? h.appliedAt);
    const again = first === undefined || first.name === current ||
      (h.failed.includes(first.name) && silent < NEVER_HEALTHY_LIMIT);
    if (again && !this.health.failed) return;
    h.failed = [];
    this.apply(first);
    this.note("chosen");
  }

  #lookUp(current: MethodId): void {
    const { h } = this, { now } = this.s;
    const answered = this.#confirmed(current);
    const { name, endpoint } = answered ?? {};
    if (name !== undefined) return this.#try(methodOf(name), current, endpoint);
    const slot = this.#slot();
    if (slot < h.slot) h.slot = slot; // the clock was set back
    const busy = now - (h.traffic?.busyAt ?? -Infinity) < SUSPECT_AFTER;
    if (busy && slot - h.slot < BUSY_SLOTS) return;
    if (slot <= h.slot || slot % 2 ** Math.min(h.probesFailed, 3) !== 0) return;
    const better = this.#better(current);
    if (better !== undefined) this.#try(better, current);
  }

  /** Takes another method on trial. */
  #try(method: Method, from: MethodId, endpoint?: string): void {
    if (from === "via-relay") {
      this.h.slot = this.#slot();
      return besideRelay(this, method.name, endpoint ?? method.endpoint(this.context()));
    }
    this.apply(method);
    if (endpoint !== undefined) this.h.endpoint = endpoint;
    const tx = this.s.observed?.txBytes;
    this.h.probe = { from, startedAt: this.s.now, ...(tx === undefined ? {} : { tx }) };
    this.note("probe");
  }

  /** Keeps a probe that shows life on a direct endpoint; undoes it when its time is up. */
  #judgeProbe(): void {
    const { h } = this, { observed, loopback, now } = this.s;
    const { from, startedAt, tx = Infinity } = h.probe!;
    const current = h.method!, lasts = now - startedAt;
    const dumb = isDumb(lasts, (observed?.txBytes ?? 0) - tx, this.health);
    const straight = current === "via-relay" ||
      (observed?.endpoint !== undefined && observed.endpoint !== loopback);
    if (lasts < PROBE_LIMIT / 2 && !dumb) return;
    if (this.health.evidence && straight) {
      h.failed = h.failed.filter((name) => name !== current);
      delete h.probe;
      this.note("probe-kept");
    } else if (lasts >= PROBE_LIMIT || dumb || this.health.suspect) {
      const failed = [...new Set([...h.failed, current])];
      this.apply(methodOf(from));
      h.failed = failed;
      h.probesFailed++;
      h.lastHealthyAt = now; // it was healthy until the probe began
      this.note("probe-failed");
    }
  }
}
