/**
 * Asks peers whether they can be reached, endpoint by endpoint, without moving WireGuard: it has one
 * endpoint for a peer, and what it sends to one that does not answer is lost.
 *
 * - A **search** asks all endpoints of a peer that may be better than the one in use, and calls the
 *   peer through the relay to do the same, so that both NATs open at once.
 * - A **watch** asks the endpoint in use each second while traffic flows, and when no answer comes
 *   the relay too: a peer that answers there and not here is not here.
 *
 * A question is answered to where it came from, by an answer of the same size; an endpoint counts
 * only when it answers a question of ours. Who does not know a key of ours gets no answer at all, and
 * all work for strangers is limited. Without input or output: {@link EngineOptions.send} sends.
 *
 * @module
 */
import { Bucket } from "./bucket.ts";
import { PairKeys } from "./keys.ts";
import { encodeProbe, isGenuine, parseProbe, type ProbeMessage } from "./message.ts";
import { type PathTarget, PeerPaths, type Probed } from "./peer.ts";

/** When the tries of a search follow its start, ms; the last entry is its end. */
const TRIES = [0, 200, 500, 1_000, 1_600];
/** Pauses between searches, ms: the first, the longest, and the longest while traffic flows. */
const FIRST_PAUSE = 5_000, LONGEST_PAUSE = 300_000, BUSY_PAUSE = 20_000;
/** The pause while a better endpoint answers, and is not used yet, ms. */
const HOLD_PAUSE = 3_000;
/** Time between two searches that the peer asks for, ms. */
const CALL_PAUSE = 2_000;
/** Time between two questions to an endpoint in use: when it answers, and when it does not, ms. */
const WATCH = 1_000, WATCH_AGAIN = 300;
/** The same for a peer that has never been heard: a stock agent never is, ms. */
const WATCH_STRANGER = 30_000;
/** Questions without an answer that follow each other in haste. */
const HASTY = 8;
/**
 * Time between two questions for the peer's word: while it or ours has changed a moment ago, and else,
 * ms; what a moment is; how long a change of ours is told; and between two questions that it asks for.
 */
const CONVERSE = 250, CONVERSE_RARELY = 5_000, CONVERSE_FOR = 5_000, TELL_FOR = 1_000;
const ASK_BACK = 100;
/** An answer so old is news when it is renewed, ms. */
const STALE = 5_000;
/** Searches begun, messages looked at and keys computed for others, a second. */
const SEARCHES = 40, CHECKS = 1_000, SECRETS = 50;
/**
 * Searches at once and a second for peers that were searched in vain, have never been heard and are not
 * talked to: a thousand hosts that are switched off must not keep this one busy.
 */
const VAIN_BURST = 4, VAIN_SEARCHES = 0.2;

/** What the engine needs. */
export interface EngineOptions {
  /** WireGuard's keys, 32 bytes each. */
  privateKey: Uint8Array;
  publicKey: Uint8Array;
  /** Direct ways are allowed; else only what comes through the relay is answered, and a relay asked. */
  direct: boolean;
  /** Whether a peer may be at an endpoint: none of this host's own, or inside the tunnel. */
  acceptable(endpoint: string): boolean;
  send(endpoint: string, message: Uint8Array): void;
  /** Something the planner should know at once. */
  onNews(): void;
  /** ms; only goes forward */
  now(): number;
}

/** See the top of the file. */
export class ProbeEngine {
  readonly #options: EngineOptions;
  readonly #peers = new Map<string, PeerPaths>();
  readonly #byHint = new Map<string, PeerPaths>();
  readonly #searches = new Bucket(SEARCHES, SEARCHES);
  readonly #vain = new Bucket(VAIN_BURST, VAIN_SEARCHES);
  /** Those that wait for one of these, first come first. */
  readonly #queue = new Set<PeerPaths>();
  readonly #checks = new Bucket(CHECKS, CHECKS);
  readonly #secrets = new Bucket(SECRETS, SECRETS);
  /** Until then nothing is due; 0: that is not known. */
  #quietUntil = 0;

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  /** What is wanted of which peers; the others are forgotten. */
  follow(targets: readonly PathTarget[]): void {
    const { privateKey, publicKey, now } = this.#options;
    this.#quietUntil = 0;
    const wanted = new Set(targets.map((target) => target.publicKey));
    for (const [key, peer] of this.#peers) {
      if (wanted.has(key)) continue;
      this.#peers.delete(key);
      this.#queue.delete(peer);
      this.#byHint.delete(peer.keys.received);
    }
    for (const target of targets) {
      const peer = this.#peers.get(target.publicKey);
      if (peer === undefined) {
        const keys = new PairKeys(privateKey, publicKey, Uint8Array.fromBase64(target.publicKey));
        const added = new PeerPaths(target, keys);
        this.#peers.set(target.publicKey, added);
        this.#byHint.set(keys.received, added);
        continue;
      }
      const before = peer.target;
      peer.target = target;
      peer.dueAt = 0;
      const fresh = target.search.some((one) => !before.search.includes(one));
      const connected = before.relay !== target.relay && target.relay !== undefined;
      if (fresh || connected || (target.busy && !before.busy)) {
        if (fresh) peer.pause = 0;
        peer.nextBurstAt = Math.min(peer.nextBurstAt, now() + (fresh ? 0 : FIRST_PAUSE));
      }
      if (target.watch !== before.watch) peer.nextWatchAt = now();
      const telling = (target.tell ?? 0) !== (before.tell ?? 0);
      if (telling || (target.ask && !before.ask)) peer.newsAt = peer.nextAskAt = now();
      if (telling) peer.toldAt = now();
    }
  }

  /** What is known of the ways to a peer. */
  probed(publicKey: string): Probed | undefined {
    return this.#peers.get(publicKey)?.probed(this.#options.now());
  }

  /** This host is in another network: everything is asked anew. */
  moved(): void {
    const now = this.#options.now();
    this.#quietUntil = 0;
    for (const peer of this.#peers.values()) {
      peer.forgetAnswers();
      peer.burst = undefined;
      peer.pause = 0;
      peer.nextBurstAt = peer.nextWatchAt = peer.dueAt = now;
    }
  }

  /** Does what is due; returns when to be called again, ms from now. */
  tick(): number {
    const now = this.#options.now();
    if (now < this.#quietUntil) return this.#quietUntil - now;
    this.#callUp(now);
    let next = Infinity, quiet = true;
    for (const peer of this.#peers.values()) {
      const asking = peer.burst !== undefined || peer.target.watch !== undefined;
      if (asking || now >= peer.dueAt) {
        const watch = this.#watch(peer, now), search = this.#search(peer, now);
        peer.dueAt = Math.min(watch, search, this.#converse(peer, now));
        if (peer.burst !== undefined || peer.target.watch !== undefined) quiet = false;
      }
      next = Math.min(next, peer.dueAt);
      // Of the others nothing can have become silent.
      if (asking && peer.silenceChanged(now)) this.#options.onNews();
    }
    if (this.#queue.size > 0) next = Math.min(next, now + this.#vain.wait);
    this.#quietUntil = quiet ? next : 0;
    return Math.max(0, next - now);
  }

  /** Takes a datagram that begins like a probe; true when {@link tick} should be called anew. */
  receive(datagram: Uint8Array, endpoint: string): boolean {
    const now = this.#options.now();
    const message = parseProbe(datagram);
    const peer = message && this.#byHint.get(message.hint);
    if (message === undefined || peer === undefined) return false;
    const relayed = endpoint === peer.target.relay;
    if (!relayed && !(this.#direct(peer) && this.#options.acceptable(endpoint))) return false;
    if (!peer.checks.take(now) || !this.#checks.take(now)) return false;
    if (!peer.keys.ready && !this.#secrets.take(now)) return false;
    if (!isGenuine(datagram, peer.keys.receiving.key)) return false;
    peer.dueAt = this.#quietUntil = 0;
    if (message.kind === "pong") this.#answered(peer, endpoint, message, now);
    else this.#asked(peer, endpoint, message, now, relayed);
    return true;
  }

  #asked(
    peer: PeerPaths,
    endpoint: string,
    { id, call, ask }: ProbeMessage,
    now: number,
    relayed: boolean,
  ): void {
    if (!peer.isNew(id) || !peer.replies.take(now)) return;
    const known = peer.heardAt > -Infinity;
    const word = peer.target.tell ?? 0;
    this.#send(peer, endpoint, { kind: "pong", call: false, ask: false, word, id });
    peer.heard(endpoint, now);
    if (!known) this.#options.onNews();
    // A question shows where the peer may be; only its answer to ours proves it.
    const way = peer.way(endpoint);
    const open = now - (way?.askedAt ?? -Infinity) < WATCH_AGAIN ||
      now - (way?.answeredAt ?? -Infinity) < STALE;
    if (!relayed && !open && peer.candidates.length > 0) this.#ask(peer, endpoint, now, false);
    if (ask && now - peer.askedBackAt >= ASK_BACK) {
      peer.askedBackAt = now;
      this.#ask(peer, endpoint, now, false);
    }
    if (call && peer.candidates.length > 0 && now - peer.lastBurstAt >= CALL_PAUSE) {
      this.#begin(peer, now, false);
    }
  }

  #answered(peer: PeerPaths, endpoint: string, { id, word }: ProbeMessage, now: number): void {
    const before = peer.way(endpoint)?.answeredAt ?? -Infinity;
    const first = peer.heardAt === -Infinity;
    if (!peer.answers(endpoint, id, now)) return;
    // No stranger any more.
    if (first) peer.nextWatchAt = now + WATCH;
    if (peer.tells(word, now)) {
      peer.nextAskAt = now + CONVERSE;
      this.#options.onNews();
    }
    const better = endpoint !== peer.target.relay && endpoint !== peer.target.watch;
    if (first || (better && now - before > STALE) || peer.silenceChanged(now)) {
      this.#options.onNews();
    }
  }

  /** Asks the endpoint in use when it is time; returns when that is next. */
  #watch(peer: PeerPaths, now: number): number {
    const { watch, relay, busy } = peer.target;
    if (watch === undefined || !busy || !this.#direct(peer)) return Infinity;
    if (now < peer.nextWatchAt) return peer.nextWatchAt;
    const { asked = 0, askedAt = -Infinity, rttMs = 0 } = peer.way(watch) ?? {};
    const speaks = peer.heardAt > -Infinity;
    const usual = speaks ? WATCH : WATCH_STRANGER;
    if (asked === 0 && now - askedAt < usual) return peer.nextWatchAt = askedAt + usual;
    this.#ask(peer, watch, now, false);
    if (speaks && asked > 0 && relay !== undefined) this.#ask(peer, relay, now, false);
    const hasty = speaks && asked < HASTY;
    return peer.nextWatchAt = now + (hasty ? Math.max(WATCH_AGAIN, 1.5 * rttMs) : usual);
  }

  /** Asks for the peer's word, and has it ask for ours when that has changed; returns when that is next. */
  #converse(peer: PeerPaths, now: number): number {
    const telling = now - peer.toldAt < TELL_FOR;
    if (!peer.target.ask && !telling) return Infinity;
    if (now < peer.nextAskAt) return peer.nextAskAt;
    for (const endpoint of peer.channels) {
      const straight = endpoint !== peer.target.relay;
      if (!straight || this.#direct(peer)) this.#ask(peer, endpoint, now, false, telling);
    }
    const often = now - peer.newsAt < CONVERSE_FOR;
    return peer.nextAskAt = now + (often ? CONVERSE : CONVERSE_RARELY);
  }

  /** Goes on with a search or begins one when it is time; returns when there is something to do. */
  #search(peer: PeerPaths, now: number): number {
    const { burst } = peer;
    if (burst === undefined) {
      if (peer.target.search.length === 0 || !this.#options.direct) return Infinity;
      if (now < peer.nextBurstAt) return peer.nextBurstAt;
      const vain = peer.pause > 0 && !peer.target.busy && peer.heardAt === -Infinity;
      if (vain && !peer.called) {
        this.#queue.add(peer);
        return Infinity;
      }
      if (!this.#searches.take(now)) return now + 100;
      this.#begin(peer, now, true);
      return peer.burst!.nextAt;
    }
    if (now < burst.nextAt) return burst.nextAt;
    if (burst.tries === TRIES.length - 1) {
      peer.burst = undefined;
      peer.forgetVain(burst.startedAt);
      const { pause, target: { busy } } = peer;
      peer.pause = Math.min(busy ? BUSY_PAUSE : LONGEST_PAUSE, Math.max(FIRST_PAUSE, pause * 2));
      const answered = peer.answeredSince(burst.startedAt);
      return peer.nextBurstAt = now + (answered ? HOLD_PAUSE : peer.pause);
    }
    this.#try(peer, now, false);
    return burst.nextAt;
  }

  /** Whose turn it is after searches in vain. */
  #callUp(now: number): void {
    for (const peer of this.#queue) {
      // Its search may have begun for another reason.
      if (peer.burst === undefined && now >= peer.nextBurstAt) {
        if (!this.#vain.take(now)) return;
        peer.called = true;
        peer.dueAt = now;
      }
      this.#queue.delete(peer);
    }
  }

  #begin(peer: PeerPaths, now: number, call: boolean): void {
    peer.called = false;
    peer.burst = { tries: 0, nextAt: now, startedAt: now };
    peer.lastBurstAt = now;
    this.#try(peer, now, call);
  }

  /** One round of a search: whoever has not answered in it. */
  #try(peer: PeerPaths, now: number, call: boolean): void {
    const burst = peer.burst!;
    const { relay } = peer.target;
    if (relay !== undefined && (call || peer.heardAt < burst.startedAt)) {
      this.#ask(peer, relay, now, call);
    }
    for (const endpoint of peer.candidates) {
      const answeredAt = peer.way(endpoint)?.answeredAt ?? -Infinity;
      if (answeredAt < burst.startedAt) this.#ask(peer, endpoint, now, false);
    }
    burst.tries++;
    burst.nextAt = burst.startedAt + TRIES[burst.tries]!;
  }

  /** A relay of the VPC is reached straight by all. */
  #direct({ target }: PeerPaths): boolean {
    return this.#options.direct || target.alone === true;
  }

  #ask(peer: PeerPaths, endpoint: string, now: number, call: boolean, ask = false): void {
    const id = crypto.getRandomValues(new Uint8Array(16)).toHex();
    peer.asks(endpoint, id, now);
    this.#send(peer, endpoint, { kind: "ping", call, ask, word: 0, id });
  }

  #send(peer: PeerPaths, endpoint: string, message: Omit<ProbeMessage, "hint">): void {
    const { hint, key } = peer.keys.sending;
    this.#options.send(endpoint, encodeProbe({ ...message, hint }, key));
  }
}
