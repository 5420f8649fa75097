/**
 * Who is connected: from a public key to its connections here, and to the links that lead to it.
 */
import { KeyTable } from "../../derp/mod.ts";
import { type Carrier, type Member, Peer } from "./peer.ts";

/** All logged-in connections, and all keys known from other relays and workers. */
export class Registry<C extends Member, L extends Carrier = Carrier> {
  readonly #peers = new KeyTable<Peer<C, L>>();
  readonly #connections = new Map<number, C>();
  #keysHere = 0;
  #duplicatedKeys = 0;
  #duplicatedConnections = 0;

  /** Distinct keys connected here. */
  get keys(): number {
    return this.#keysHere;
  }

  /** Distinct keys, wherever they are. */
  get total(): number {
    return this.#peers.size;
  }

  /** Connections. */
  get size(): number {
    return this.#connections.size;
  }

  /** Keys with several connections, and how many connections those have. */
  get duplicates(): { keys: number; connections: number } {
    return { keys: this.#duplicatedKeys, connections: this.#duplicatedConnections };
  }

  /** The peer of the 32 key bytes at `offset`. */
  find(buffer: Uint8Array, offset: number): Peer<C, L> | undefined {
    return this.#peers.get(buffer, offset);
  }

  /** The connection with this id. */
  byId(id: number): C | undefined {
    return this.#connections.get(id);
  }

  /** Bound for {@link Peer.sentTo}. */
  readonly alive = (id: number): boolean => this.#connections.has(id);

  connections(): IterableIterator<C> {
    return this.#connections.values();
  }

  /** All keys. May be walked on while keys come and go: it then shows those that stay. */
  peers(): IterableIterator<Peer<C, L>> {
    return this.#peers.values();
  }

  /** Adds a connection and returns the peer of its key. */
  add(connection: C): Peer<C, L> {
    this.#connections.set(connection.id, connection);
    const peer = this.#peers.get(connection.key) ?? this.#make(connection.key);
    const before = peer.size;
    peer.join(connection);
    if (before === 0) this.#keysHere += 1;
    else {
      this.#duplicatedKeys += before === 1 ? 1 : 0;
      this.#duplicatedConnections += before === 1 ? 2 : 1;
    }
    return peer;
  }

  /** Removes a connection. True when its key has none left here. */
  remove(connection: C, peer: Peer<C, L>): boolean {
    if (!this.#connections.delete(connection.id)) return false;
    const before = peer.size;
    const last = peer.leave(connection);
    if (last) this.#keysHere -= 1;
    else {
      this.#duplicatedKeys -= before === 2 ? 1 : 0;
      this.#duplicatedConnections -= before === 2 ? 2 : 1;
    }
    this.#settle(peer);
    return last;
  }

  /** A relay of the region has a key. The peer, and whether that is news. */
  addRelay(key: Uint8Array, link: L): { peer: Peer<C, L>; added: boolean } {
    const peer = this.#peerOf(key);
    return { peer, added: peer.addRelay(link) };
  }

  /** A sibling has a key since `stamp` (milliseconds since the Unix epoch). As {@link addRelay}. */
  addSibling(
    key: Uint8Array,
    link: L,
    stamp: number,
    present: Uint8Array,
  ): { peer: Peer<C, L>; added: boolean } {
    const peer = this.#peerOf(key);
    return { peer, added: peer.addSibling(link, stamp, present) };
  }

  /** A relay or sibling no longer has a key. False when it was not known to have it. */
  removeLink(peer: Peer<C, L>, link: L): boolean {
    const known = peer.removeLink(link);
    this.#settle(peer);
    return known;
  }

  /** A key from a frame is copied: it need not keep the whole frame alive. */
  #peerOf(key: Uint8Array): Peer<C, L> {
    return this.#peers.get(key) ?? this.#make(key.slice());
  }

  #make(key: Uint8Array): Peer<C, L> {
    const peer = new Peer<C, L>(key);
    this.#peers.adopt(key, peer);
    return peer;
  }

  /** Forgets a key that nobody has any more. */
  #settle(peer: Peer<C, L>): void {
    if (peer.known || peer.gone) return;
    peer.gone = true;
    this.#peers.delete(peer.key);
  }

  /** Compares the tables with each other. Empty when they agree. */
  check(): string[] {
    const problems: string[] = [];
    let [members, here, duplicated] = [0, 0, 0];
    for (const peer of this.#peers.values()) {
      members += peer.size;
      if (peer.size > 0) here += 1;
      if (peer.size > 1) duplicated += peer.size;
      if (peer.gone || !peer.known) problems.push("a key that nobody has is registered");
    }
    if (members !== this.#connections.size) {
      problems.push(`${this.#connections.size} connections, ${members} of them under a key`);
    }
    if (here !== this.#keysHere) {
      problems.push(`${this.#keysHere} keys counted, ${here} of them connected`);
    }
    if (duplicated !== this.#duplicatedConnections) {
      problems.push(`${this.#duplicatedConnections} duplicates counted, ${duplicated} found`);
    }
    return problems;
  }
}
