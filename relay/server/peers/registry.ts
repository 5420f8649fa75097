/**
 * Who is connected: from a public key to its connections, and which of them is active.
 *
 * One key may have several connections (a network change, a copied key). All of them are served;
 * packets go to the active one, the last that connected or spoke.
 */
import { KeyTable } from "../../derp/mod.ts";
import { type Member, Peer } from "./peer.ts";

/** All logged-in connections. */
export class Registry<C extends Member> {
  readonly #peers = new KeyTable<Peer<C>>();
  readonly #connections = new Map<number, C>();
  #duplicatedKeys = 0;
  #duplicatedConnections = 0;

  /** Distinct keys. */
  get keys(): number {
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
  find(buffer: Uint8Array, offset: number): Peer<C> | undefined {
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

  /** Adds a connection and returns the peer of its key. */
  add(connection: C): Peer<C> {
    this.#connections.set(connection.id, connection);
    const known = this.#peers.get(connection.key);
    if (known === undefined) {
      const peer = new Peer<C>(connection.key);
      peer.join(connection, true);
      this.#peers.set(connection.key, peer);
      return peer;
    }
    const wasDuplicated = known.duplicated;
    known.join(connection, false);
    this.#duplicatedKeys += wasDuplicated ? 0 : 1;
    this.#duplicatedConnections += wasDuplicated ? 1 : 2;
    return known;
  }

  /** Removes a connection. True when its key has none left. */
  remove(connection: C, peer: Peer<C>): boolean {
    if (!this.#connections.delete(connection.id)) return false;
    const wasDuplicated = peer.duplicated;
    const last = peer.leave(connection);
    if (last) this.#peers.delete(peer.key);
    if (wasDuplicated) {
      this.#duplicatedConnections -= peer.duplicated ? 1 : 2;
      this.#duplicatedKeys -= peer.duplicated ? 0 : 1;
    }
    return last;
  }

  /** Compares the tables with each other. Empty when they agree. */
  check(): string[] {
    const problems: string[] = [];
    let members = 0;
    for (const peer of this.#peers.values()) {
      members += peer.size;
      if (peer.gone) problems.push("a peer without connections is registered");
    }
    if (members !== this.#connections.size) {
      problems.push(`${this.#connections.size} connections, ${members} of them under a key`);
    }
    return problems;
  }
}
