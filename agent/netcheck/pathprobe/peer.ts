/**
 * What is known of the ways to one peer: what was asked, what was answered, what stays silent.
 *
 * @module
 */
import { Bucket } from "./bucket.ts";
import type { PairKeys } from "./keys.ts";

/** What the planner wants to know of a peer. */
export interface PathTarget {
  /** base64 */
  publicKey: string;
  /** Endpoints that may be better than what is in use. */
  search: readonly string[];
  /** The direct endpoint in use, while it matters whether it works. */
  watch?: string;
  /** The peer's loopback endpoint: the way through the relay. */
  relay?: string;
  /** There is no other way to hear it, so none that could be a witness of its silence. */
  alone?: boolean;
  /** Traffic flows: look more often. */
  busy: boolean;
  /** What the peer is told with each answer, 16 bits; 0 when left out. */
  tell?: number;
  /** What it tells matters now: ask for it. */
  ask?: boolean;
}

/** An endpoint of a peer. Times are those of the engine's clock, ms. */
interface Way {
  /** When it last answered, and how long that took. */
  answeredAt?: number;
  rttMs?: number;
  /** When the peer last spoke from it. */
  heardAt?: number;
  /** Questions since its last answer, when the first was asked, and when the last. */
  asked: number;
  askedSince?: number;
  askedAt?: number;
}

/** What probes have found out; `PlanInput.probed` of the planner. */
export interface Probed {
  speaks: boolean;
  answered: ReadonlyMap<string, { at: number; rttMs: number }>;
  silent: ReadonlyMap<string, number>;
  told?: { word: number; since: number; at: number };
}

/** Most endpoints remembered of a peer, and those of them that it showed by itself. */
const MAX_WAYS = 16, MAX_LEARNT = 4;
/** Most questions that await an answer, and how long, ms. */
const MAX_OPEN = 32, OPEN_FOR = 5_000;
/** Ids of the peer's last questions: none is answered twice. */
const MAX_SEEN = 64;
/** A peer that has said nothing for so long may have become one that does not know probes, ms. */
const SPEAKS_FOR = 15 * 60_000;
/**
 * Silent is what was asked so often, over so long, ms, while the peer was heard on another way: it
 * is up, and its answers are not lost in a slow process.
 */
const SILENT_ASKED = 4, SILENT_FOR = 1_200;
/** The same without another way: long enough for a process that is busy. */
const ALONE_ASKED = 8, ALONE_FOR = 2_800;
/** A verdict on what was last asked so long ago is none, ms. */
const VERDICT_LIFE = 10_000;

const NONE: ReadonlyMap<string, number> = new Map();

/** See the top of the file. */
export class PeerPaths {
  target: PathTarget;
  readonly keys: PairKeys;
  /** Limits of what is looked at and answered for this peer. */
  readonly checks = new Bucket(40, 20);
  readonly replies = new Bucket(20, 10);
  /** The search that is under way. */
  burst: { tries: number; nextAt: number; startedAt: number } | undefined;
  /** When the next search begins, and the pause behind it. */
  nextBurstAt = 0;
  pause = 0;
  lastBurstAt = -Infinity;
  /** It is its turn to be searched, although that was in vain before. */
  called = false;
  nextWatchAt = 0;
  /** When the peer is next asked for its word, was last asked because it asked, and when either word changed. */
  nextAskAt = 0;
  /** When any of these, or a step of a search, is next to be looked at. */
  dueAt = 0;
  askedBackAt = -Infinity;
  newsAt = -Infinity;
  /** When our word last changed. */
  toldAt = -Infinity;
  #told: { word: number; since: number; at: number } | undefined;
  readonly #ways = new Map<string, Way>();
  readonly #open = new Map<string, { endpoint: string; at: number }>();
  readonly #seen = new Set<string>();
  #learnt: string[] = [];
  /** Whether the peer ever spoke: nothing can be silent before. */
  #heard = false;
  /** What was silent when that was last looked at. */
  #silent = "";

  constructor(target: PathTarget, keys: PairKeys) {
    this.target = target;
    this.keys = keys;
  }

  /** What is searched: as published, and as the peer has shown itself. */
  get candidates(): string[] {
    const { search } = this.target;
    return search.length === 0 ? [] : [...new Set([...search, ...this.#learnt])];
  }

  /** True when this question has not been answered yet. */
  isNew(id: string): boolean {
    if (this.#seen.has(id)) return false;
    this.#seen.add(id);
    if (this.#seen.size > MAX_SEEN) this.#seen.delete(this.#seen.values().next().value!);
    return true;
  }

  /** A question goes out. */
  asks(endpoint: string, id: string, now: number): void {
    for (const [old, { at }] of this.#open) {
      if (this.#open.size < MAX_OPEN && now - at <= OPEN_FOR) break;
      this.#open.delete(old);
    }
    this.#open.set(id, { endpoint, at: now });
    const way = this.#way(endpoint);
    way.asked++;
    way.askedSince ??= now;
    way.askedAt = now;
  }

  /** The peer asked from an endpoint; one that was not known is remembered. */
  heard(endpoint: string, now: number): void {
    this.#heard = true;
    this.#way(endpoint).heardAt = now;
    const { search, watch, relay } = this.target;
    if (search.includes(endpoint) || endpoint === watch || endpoint === relay) return;
    this.#learnt = [endpoint, ...this.#learnt.filter((one) => one !== endpoint)]
      .slice(0, MAX_LEARNT);
  }

  /** An answer came; false when it is none to a question of ours from there. */
  answers(endpoint: string, id: string, now: number): boolean {
    const open = this.#open.get(id);
    if (open?.endpoint !== endpoint) return false;
    this.#open.delete(id);
    this.#heard = true;
    const way = this.#way(endpoint);
    way.answeredAt = way.heardAt = now;
    way.rttMs = now - open.at;
    way.asked = 0;
    delete way.askedSince;
    return true;
  }

  /** The peer said something of itself; true: something else than before. */
  tells(word: number, now: number): boolean {
    const other = this.#told?.word !== word;
    this.#told = { word, since: other ? now : this.#told!.since, at: now };
    if (other) this.newsAt = now;
    return other;
  }

  /** Where the peer can be asked for its word: through the relay, and straight. */
  get channels(): string[] {
    const { relay, watch } = this.target;
    let straight = watch, at = -Infinity;
    if (watch === undefined) {
      for (const [endpoint, { answeredAt = -Infinity }] of this.#ways) {
        if (endpoint !== relay && answeredAt > at) [straight, at] = [endpoint, answeredAt];
      }
    }
    return [relay, straight].filter((one) => one !== undefined);
  }

  /** The way to an endpoint, if anything is known of it. */
  way(endpoint: string): Readonly<Way> | undefined {
    return this.#ways.get(endpoint);
  }

  /** Whether a direct endpoint has answered since a time. */
  answeredSince(since: number): boolean {
    return this.candidates.some((one) => (this.#ways.get(one)?.answeredAt ?? -Infinity) >= since);
  }

  /** A search has ended: where the peer only seemed to be is not asked again. */
  forgetVain(since: number): void {
    this.#learnt = this.#learnt.filter((one) => (this.#ways.get(one)?.heardAt ?? 0) >= since);
  }

  /** The host is elsewhere now: what answered before says nothing. */
  forgetAnswers(): void {
    for (const [endpoint, way] of this.#ways) {
      if (endpoint === this.target.relay) continue;
      delete way.answeredAt;
      delete way.askedSince;
      way.asked = 0;
    }
  }

  /** When the peer was last heard, by any way; -Infinity: never. */
  get heardAt(): number {
    let last = -Infinity;
    for (const { heardAt = -Infinity } of this.#ways.values()) last = Math.max(last, heardAt);
    return last;
  }

  /** True once for each change of what is silent. */
  silenceChanged(now: number): boolean {
    const silent = [...this.#silentWays(now).keys()].join();
    if (silent === this.#silent) return false;
    this.#silent = silent;
    return true;
  }

  /** What the planner gets; undefined when the peer was never heard. */
  probed(now: number): Probed | undefined {
    const speaks = now - this.heardAt < SPEAKS_FOR;
    if (!speaks) return undefined;
    const answered = new Map<string, { at: number; rttMs: number }>();
    for (const [endpoint, { answeredAt, rttMs }] of this.#ways) {
      if (answeredAt !== undefined) answered.set(endpoint, { at: answeredAt, rttMs: rttMs! });
    }
    const told = this.#told === undefined ? {} : { told: { ...this.#told } };
    return { speaks, answered, silent: this.#silentWays(now), ...told };
  }

  #silentWays(now: number): ReadonlyMap<string, number> {
    if (!this.#heard) return NONE;
    const silent = new Map<string, number>();
    const { relay, alone } = this.target;
    const [often, long] = alone ? [ALONE_ASKED, ALONE_FOR] : [SILENT_ASKED, SILENT_FOR];
    for (const [endpoint, { asked, askedSince, askedAt }] of this.#ways) {
      if (endpoint === relay || asked < often) continue;
      if (now - askedSince! < long || now - askedAt! > VERDICT_LIFE) continue;
      const elsewhere = alone ||
        [...this.#ways].some(([other, { heardAt = -Infinity }]) =>
          other !== endpoint && heardAt > askedSince!
        );
      if (elsewhere) silent.set(endpoint, askedSince!);
    }
    return silent;
  }

  #way(endpoint: string): Way {
    let way = this.#ways.get(endpoint);
    if (way === undefined) {
      this.#ways.set(endpoint, way = { asked: 0 });
      if (this.#ways.size > MAX_WAYS) this.#dropOldest(endpoint);
    }
    return way;
  }

  #dropOldest(but: string): void {
    const { search, watch, relay } = this.target;
    const age = ({ heardAt = 0, askedAt = 0 }: Way) => Math.max(heardAt, askedAt);
    const [oldest] = [...this.#ways]
      .filter(([one]) => one !== but && one !== watch && one !== relay && !search.includes(one))
      .sort(([, a], [, b]) => age(a) - age(b));
    if (oldest !== undefined) this.#ways.delete(oldest[0]);
  }
}
