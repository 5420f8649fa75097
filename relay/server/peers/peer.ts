/**
 * One public key: its connections here, and who else has it.
 *
 * The key may have several connections (a network change, a copied key). All of them are served;
 * packets go to the active one, the last that connected or spoke. Other workers of this relay
 * (siblings) count as if their connections were here: the last writer is active wherever it is.
 * Other relays of the region come last: a packet goes there only for a key that is not here at all.
 */
import { MAX_RECEIVERS } from "../limits.ts";

/** What is needed of a connection. */
export interface Member {
  /** Unique in the relay's life. */
  readonly id: number;
  readonly key: Uint8Array;
  /** When it logged in: milliseconds since the Unix epoch. */
  readonly since: number;
}

/** What is needed of a link to another relay, or to another worker of this one. */
export interface Carrier {
  readonly sibling: boolean;
}

/** What a sibling says of a key. */
interface Elsewhere<L> {
  readonly link: L;
  /** When the key connected or spoke there last, in milliseconds since the Unix epoch. */
  stamp: number;
  /** The PeerPresent frame that said so. */
  present: Uint8Array;
}

/**
 * How often a key changes hands until several clients must be using it. A client that changes
 * networks, or follows a restart, speaks on the old connection once or twice more.
 */
const FOUGHT = 4;

/**
 * How long a connection that took its key from a sibling waits until it does so again, in
 * milliseconds: everybody who watches hears of it, which two clients could have done all the time.
 */
const TAKE_MS = 100;

/** One public key and where it is. Usually one connection here. */
export class Peer<C extends Member, L extends Carrier = Carrier> {
  /** The connection here that packets go to; undefined without one, and when none has spoken. */
  active: C | undefined;
  /** Where packets go instead; undefined when they stay here or go nowhere. */
  carrier: L | undefined;
  /** Whether a frame from a connection of this key may change where packets go. */
  contended = false;
  /** True once nobody has the key; whoever remembers this peer must look again. */
  gone = false;

  // Only while there are several connections.
  #members: C[] | undefined;
  // Those that spoke, the latest last, each once.
  #speakers: C[] | undefined;

  // Siblings that have the key, the latest writer last.
  #siblings: Elsewhere<L>[] | undefined;
  // Relays of the region that have the key, in the order in which they said so.
  #relays: L[] | undefined;
  // When a connection here took the key back from a sibling.
  #tookBack = 0;
  // How often a connection here took the key from another one, here or on a sibling, and when last
  // from a sibling, in milliseconds of `performance.now()`.
  #takes = 0;
  #takenAt = -Infinity;

  // Connections that packets of this key were queued for. Numbers rather than connections, so that
  // nothing of an ended connection is kept alive.
  #receivers: Set<number> | undefined;
  #lastReceiver = -1;

  constructor(readonly key: Uint8Array) {}

  /** Number of connections here. */
  get size(): number {
    return this.#members?.length ?? (this.active === undefined ? 0 : 1);
  }

  /** Whether there are several connections here. */
  get duplicated(): boolean {
    return this.#members !== undefined;
  }

  /** Whether several clients that are all alive use the key, as far as was seen here. */
  get fought(): boolean {
    return this.#takes >= FOUGHT;
  }

  /** Whether this relay has the key, here or on a sibling. */
  get inRelay(): boolean {
    return this.size > 0 || this.#siblings !== undefined;
  }

  /** Whether anybody has the key. */
  get known(): boolean {
    return this.inRelay || this.#relays !== undefined;
  }

  /** Number of relays of the region that have the key. */
  get relays(): number {
    return this.#relays?.length ?? 0;
  }

  /** The PeerPresent frame of the sibling that has the key; of the latest writer among several. */
  get siblingPresent(): Uint8Array | undefined {
    return this.#siblings?.at(-1)?.present;
  }

  /** When the key connected or spoke here last, as far as siblings care. */
  get stamp(): number {
    return Math.max(this.#tookBack, this.active?.since ?? 0);
  }

  /** The connections here. */
  members(): readonly C[] {
    return this.#members ?? (this.active === undefined ? [] : [this.active]);
  }

  /** Adds a connection; it is active at once. */
  join(member: C): void {
    const before = this.active;
    if (this.#members !== undefined) {
      this.#members.push(member);
      this.#speakers!.push(member);
    } else if (before !== undefined) {
      // The one that was alone counts as having spoken; the newcomer does not yet.
      this.#members = [before, member];
      this.#speakers = [before];
    }
    this.active = member;
    this.#takeBack(member.since);
  }

  /**
   * A connection of a contended key sent a frame: it is active now.
   *
   * @returns whether a sibling had the key until now, and must hear that it is here again
   */
  spoke(member: C): boolean {
    if (this.active !== member) this.#takes += 1;
    this.active = member;
    if (this.#members !== undefined && this.#speakers!.at(-1) !== member) {
      remove(this.#speakers!, member);
      this.#speakers!.push(member);
    }
    if (this.carrier === undefined) return false;
    const now = performance.now();
    if (now - this.#takenAt < TAKE_MS) return false;
    this.#takenAt = now;
    this.#takes += 1;
    this.#takeBack(Date.now());
    return true;
  }

  /** Removes a connection. True when it was the last one here. */
  leave(member: C): boolean {
    if (this.#members === undefined) {
      this.active = undefined;
      this.#tookBack = 0;
      this.#decide();
      return true;
    }
    remove(this.#members, member);
    remove(this.#speakers!, member);
    if (this.#members.length === 1) {
      this.active = this.#members[0];
      this.#members = this.#speakers = undefined;
    } else if (this.active === member) {
      this.active = this.#speakers!.at(-1);
    }
    this.#decide();
    return false;
  }

  /** A relay of the region has the key. False when that was known. */
  addRelay(link: L): boolean {
    if (this.#relays?.includes(link)) return false;
    (this.#relays ??= []).push(link);
    this.#decide();
    return true;
  }

  /**
   * A sibling has the key; `stamp` tells when it connected or spoke there last.
   *
   * @returns whether it was not known to have it, or says something else of it now
   */
  addSibling(link: L, stamp: number, present: Uint8Array): boolean {
    const siblings = this.#siblings ??= [];
    const known = siblings.find((entry) => entry.link === link);
    const same = known?.present.every((byte, i) => byte === present[i]) === true;
    if (known === undefined) siblings.push({ link, stamp, present });
    else {
      known.stamp = stamp;
      known.present = present;
    }
    siblings.sort((a, b) => a.stamp - b.stamp);
    this.#decide();
    return !same;
  }

  /** A relay or sibling no longer has the key. False when it was not known to have it. */
  removeLink(link: L): boolean {
    const list = link.sibling ? this.#siblings : this.#relays;
    const index = link.sibling
      ? this.#siblings?.findIndex((entry) => entry.link === link) ?? -1
      : this.#relays?.indexOf(link) ?? -1;
    if (index < 0) return false;
    list!.splice(index, 1);
    if (this.#siblings?.length === 0) this.#siblings = undefined;
    if (this.#relays?.length === 0) this.#relays = undefined;
    this.#decide();
    return true;
  }

  /** No longer {@link fought}, when one connection is left. Whether that is news. */
  settle(): boolean {
    if (this.#members !== undefined || this.#siblings !== undefined) return false;
    const news = this.fought;
    this.#takes = 0;
    return news;
  }

  /** From now on the key is here, whatever a sibling said before. */
  #takeBack(now: number): void {
    const latest = this.#siblings?.at(-1);
    // Clocks may step, and a millisecond is long: later than the sibling's in any case.
    if (latest !== undefined) this.#tookBack = Math.max(now, latest.stamp + 1);
    this.#decide();
  }

  /** Works out where packets go. */
  #decide(): void {
    const sibling = this.#siblings?.at(-1);
    if (this.size === 0) this.carrier = sibling?.link ?? this.#relays?.[0];
    else {
      const elsewhere = sibling !== undefined &&
        (this.active === undefined || sibling.stamp > this.stamp);
      this.carrier = elsewhere ? sibling.link : undefined;
    }
    this.contended = this.#members !== undefined || (this.size > 0 && this.carrier !== undefined);
  }

  /** Remembers that a packet of this key was queued for connection `id`. Whether that is news. */
  sentTo(id: number, alive: (id: number) => boolean): boolean {
    if (id === this.#lastReceiver) return false;
    this.#lastReceiver = id;
    const receivers = this.#receivers ??= new Set();
    if (receivers.has(id)) return false;
    if (receivers.size >= MAX_RECEIVERS) {
      for (const other of receivers) if (!alive(other)) receivers.delete(other);
      // Many at a time: looking at all of them for each packet would be a stranger's to bring about.
      for (const oldest of receivers) {
        if (receivers.size < MAX_RECEIVERS * 3 / 4) break;
        receivers.delete(oldest);
      }
    }
    receivers.add(id);
    return true;
  }

  /** The key came back before anybody was told that it went: what was known of it holds. */
  inherit(before: Peer<C, L>): void {
    if (this.#receivers === undefined) this.#receivers = before.#receivers;
    else for (const id of before.receivers()) this.#receivers.add(id);
  }

  /** Ids of the connections that packets of this key were queued for. */
  receivers(): Iterable<number> {
    return this.#receivers ?? [];
  }
}

function remove<T>(list: T[], value: T): void {
  const index = list.indexOf(value);
  if (index >= 0) list.splice(index, 1);
}
