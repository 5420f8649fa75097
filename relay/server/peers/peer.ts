/**
 * One public key and its connections.
 */
import { MAX_RECEIVERS } from "../limits.ts";

/** What the registry needs of a connection. */
export interface Member {
  /** Unique in the relay's life. */
  readonly id: number;
  readonly key: Uint8Array;
}

/** One public key and its connections. Usually one. */
export class Peer<C extends Member> {
  /** Where packets for this key go; undefined when several are left and none has spoken. */
  active: C | undefined;
  /** True once the last connection has ended; whoever remembers this peer must look again. */
  gone = false;

  // Only while there are several connections.
  #members: C[] | undefined;
  // Those that spoke, the latest last, each once.
  #speakers: C[] | undefined;

  // Connections that packets of this key were queued for. Numbers rather than connections, so that
  // nothing of an ended connection is kept alive.
  #receivers: Set<number> | undefined;
  #lastReceiver = -1;

  constructor(readonly key: Uint8Array) {}

  /** Number of connections. */
  get size(): number {
    return this.#members?.length ?? (this.gone ? 0 : 1);
  }

  get duplicated(): boolean {
    return this.#members !== undefined;
  }

  /** Adds a connection; it is active at once. */
  join(member: C, first: boolean): void {
    const before = this.active;
    this.active = member;
    if (first) return;
    if (this.#members === undefined) {
      // The one that was alone counts as having spoken; the newcomer does not yet.
      this.#members = [before!, member];
      this.#speakers = [before!];
    } else {
      this.#members.push(member);
      this.#speakers!.push(member);
    }
  }

  /** A connection of a duplicated key sent a frame: it is active now. */
  spoke(member: C): void {
    if (this.#members === undefined || this.#speakers!.at(-1) === member) {
      this.active = member;
      return;
    }
    this.active = member;
    remove(this.#speakers!, member);
    this.#speakers!.push(member);
  }

  /** Removes a connection. True when it was the last. */
  leave(member: C): boolean {
    if (this.#members === undefined) {
      this.active = undefined;
      this.gone = true;
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
    return false;
  }

  /** Remembers that a packet of this key was queued for connection `id`. */
  sentTo(id: number, alive: (id: number) => boolean): void {
    if (id === this.#lastReceiver) return;
    this.#lastReceiver = id;
    const receivers = this.#receivers ??= new Set();
    if (receivers.has(id)) return;
    if (receivers.size >= MAX_RECEIVERS) {
      for (const other of receivers) if (!alive(other)) receivers.delete(other);
      for (const oldest of receivers) {
        if (receivers.size < MAX_RECEIVERS) break;
        receivers.delete(oldest);
      }
    }
    receivers.add(id);
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
