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
import { assess, type Health } from "./health.ts";
import { type Method, type MethodContext, METHODS, type Verdict } from "./methods.ts";
import type { MethodName, Observed, Peer, PeerHistory, Self } from "./types.ts";

/** Time between two looks at a better method, ms; doubled for each look in vain, up to eightfold. */
export const PROBE_INTERVAL = 300_000;
/** How long a better method may take to show life, ms. */
export const PROBE_LIMIT = 10_000;

/** What does not change while one peer is planned. */
interface Situation {
  self: Self;
  peer: Peer;
  relay: string | undefined;
  loopback: string | undefined;
  observed: Observed | undefined;
  now: number;
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
    this.health = assess(history, situation.observed, situation.now);
  }

  /** One pass: choose, judge, adopt, probe or move on. */
  step(): void {
    const { h } = this;
    if (h.method === undefined || (h.adopted === undefined && !this.verdict(h.method).usable)) {
      const first = this.#first(h.failed);
      if (first?.name !== h.method) this.#apply(first);
    }
    if (this.health.healthy) h.lastHealthyAt = this.#s.now;
    if (h.method === undefined || this.#adopt()) return;
    if (h.probe !== undefined) this.#judgeProbe();
    else if (this.health.failed || this.health.suspect) this.#fail(h.method);
    else if (this.health.healthy) this.#lookUp(h.method);
  }

  /** Whether a method can be used now. */
  verdict(name: MethodName): Verdict {
    return methodOf(name).applicable(this.context());
  }

  /** What methods look at. */
  context(failed: MethodName[] = this.h.failed): MethodContext {
    const { self, peer, relay, loopback } = this.#s;
    const directFailed = METHODS.some((m) => m.direct && failed.includes(m.name));
    return { self, peer, relay, loopback, directFailed };
  }

  #apply(method: Method | undefined): void {
    const { h } = this, { now, self, peer, observed } = this.#s;
    if (method === undefined) delete h.method;
    else h.method = method.name;
    h.appliedAt = now;
    h.slot = slotOf(self.publicKey, peer.publicKey, now);
    delete h.adopted;
    delete h.probe;
    delete h.rxBase;
    delete h.lastHealthyAt;
    this.health = assess(h, observed, now);
  }

  #first(failed: MethodName[]): Method | undefined {
    const context = this.context(failed);
    return METHODS.find((method) => method.applicable(context).usable);
  }

  /**
   * WireGuard follows the peer's last good packet. When that came another way than planned and
   * works, the plan follows too instead of pulling the path apart again.
   */
  #adopt(): boolean {
    const { h } = this, { observed, loopback, peer, self, now } = this.#s;
    const at = observed?.endpoint;
    if (at === undefined || h.probe !== undefined || !this.health.healthy) return false;
    const relayed = at === loopback;
    if (relayed === !methodOf(h.method!).direct || (!relayed && self.relayOnly)) return false;
    if (!relayed && isLoopback(at)) return false;
    h.method = relayed ? "via-derp-relay" : at === peer.local ? "direct-local" : "reflexive";
    h.adopted = at;
    h.slot = slotOf(self.publicKey, peer.publicKey, now);
    return true;
  }

  #fail(current: MethodName): void {
    const { h } = this;
    const failed = [...new Set([...h.failed, current])];
    const context = this.context(failed);
    const next = METHODS.slice(METHODS.indexOf(methodOf(current)) + 1)
      .find((method) => method.applicable(context).usable);
    if (next !== undefined) {
      h.failed = failed;
      this.#apply(next);
      return;
    }
    const first = this.#first([]);
    if (first?.name === current && !this.health.failed) return; // only suspect, and nothing else
    h.failed = [];
    this.#apply(first);
  }

  #lookUp(current: MethodName): void {
    const { h } = this, { self, peer, now } = this.#s;
    const context = this.context();
    const better = METHODS.slice(0, METHODS.indexOf(methodOf(current)))
      .find((method) => method.applicable(context).usable);
    const slot = slotOf(self.publicKey, peer.publicKey, now);
    if (better === undefined || slot <= h.slot) return;
    if (slot % 2 ** Math.min(h.probesFailed, 3) !== 0) return;
    this.#apply(better);
    h.probe = { from: current, startedAt: now };
  }

  /** Keeps a probe that shows life on a direct endpoint; undoes it when its time is up. */
  #judgeProbe(): void {
    const { h } = this, { observed, loopback, now } = this.#s;
    const { from, startedAt } = h.probe!;
    const current = h.method!;
    const direct = observed?.endpoint !== undefined && observed.endpoint !== loopback;
    if (now - startedAt < PROBE_LIMIT / 2) return;
    if (this.health.evidence && direct) {
      h.failed = h.failed.filter((name) => name !== current);
      h.probesFailed = 0;
      delete h.probe;
    } else if (now - startedAt >= PROBE_LIMIT) {
      const failed = [...new Set([...h.failed, current])];
      this.#apply(methodOf(from));
      h.failed = failed;
      h.probesFailed++;
      h.lastHealthyAt = now; // it was healthy until the probe began
    }
  }
}

/** The row of a method. */
export function methodOf(name: MethodName): Method {
  return METHODS.find((method) => method.name === name)!;
}

function isLoopback(endpoint: string): boolean {
  return endpoint.startsWith("127.") || endpoint.startsWith("[::1]");
}

/** The number of the current probing slot of a pair of keys: the same on both sides. */
export function slotOf(a: string, b: string, now: number): number {
  let hash = 0x811c9dc5;
  for (const char of a < b ? a + b : b + a) {
    hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  }
  return Math.floor((now + (hash >>> 0) % PROBE_INTERVAL) / PROBE_INTERVAL);
}
