/**
 * The relay among the others of its region, and a worker among its siblings: who has which key, who
 * is told, and what happens when a key comes, moves or goes.
 *
 * A key that moves from one sibling to another is gone here before it is there, or the other way
 * round: the two tell of it on sockets of their own. So with siblings, "gone" is held back for a
 * moment, and said only if the key has not turned up by then.
 */
import {
  encodeClosePeer,
  encodeHealth,
  encodePeerGone,
  encodePeerPresent,
  keysEqual,
  KeyTable,
  PeerGoneReason,
  type PeerPresent,
  PeerPresentFlag,
} from "../../derp/mod.ts";
import type { Connection } from "../connection.ts";
import { MAX_LINK_KEYS } from "../limits.ts";
import {
  ALL_TOLD,
  encodeMark,
  encodeSiblingPresent,
  Link,
  type LinkHub,
  type LinkSocket,
} from "../links/mod.ts";
import { type Peer, Registry, type Telling, Watcher, Watchers } from "../peers/mod.ts";
import { Distribution } from "../report/mod.ts";
import { Arrivals } from "./arrivals.ts";

type Somebody = Peer<Connection, Link>;

/** How long "gone" is held back while there are siblings, in milliseconds, to the next sweep. */
const MOVE_MS = 200;

/** What clients are told that use the same key at the same time, and the one that is left then. */
const SHARED_KEY = encodeHealth(
  "Another client uses this key too: each of the two gets a part of the packets. " +
    "Give every device a key of its own.",
);
const HEALTHY = encodeHealth("");

/** A key that left this relay, perhaps for a moment. */
interface Departure {
  peer: Somebody;
  until: number;
}

export class Region {
  readonly registry = new Registry<Connection, Link>();
  readonly watchers = new Watchers();
  readonly links = new Set<Link>();
  /** How watchers are told; filled from the first one on. */
  readonly telling: Telling = {
    batches: new Distribution([0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]),
    rounds: new Distribution([0, 1, 2, 5, 10, 20, 50, 100]),
  };
  readonly #arrivals = new Arrivals(this.watchers);
  readonly #publicKey: Uint8Array;
  readonly #hub: LinkHub;
  readonly #departures = new KeyTable<Departure>();

  /** @param publicKey of this relay */
  constructor(publicKey: Uint8Array, hub: LinkHub) {
    this.#publicKey = publicKey;
    this.#hub = hub;
  }

  // Connections here.

  /**
   * A connection logged in. Until what is returned resolves, if it is, there are siblings that do
   * not know of it, and the client must not: somebody could send to it by way of them.
   */
  joined(connection: Connection): Promise<void> | undefined {
    const peer = connection.peer = this.registry.add(connection);
    this.#arrived(peer);
    this.#announce(connection, false);
    this.#announce(connection, true);
    if (peer.fought) this.#tellHealth([connection], SHARED_KEY);
    return this.watchers.has(true) ? this.#arrivals.announced() : undefined;
  }

  /** A sibling knows all that it was told before a mark. */
  confirmed({ watcher }: Connection, mark: number): void {
    if (watcher === undefined || !(mark > watcher.confirmed)) return;
    watcher.confirmed = mark;
    this.#arrivals.settle();
  }

  /** A connection of a contended key sent a frame. */
  spoke(connection: Connection): void {
    const { peer } = connection;
    const before = peer.fought;
    if (peer.spoke(connection)) this.#announce(connection, true);
    if (peer.fought && !before) this.#tellHealth(peer.members(), SHARED_KEY);
  }

  /** A connection ended. `silent`: because the whole relay does. */
  left(connection: Connection, silent: boolean): void {
    const { peer } = connection;
    if (connection.watcher !== undefined) this.watchers.delete(connection.watcher);
    if (connection.sibling) return this.#arrivals.settle();
    const last = this.registry.remove(connection, peer);
    if (silent) return;
    if (peer.settle()) this.#tellHealth(peer.members(), HEALTHY);
    if (!last) return;
    this.watchers.tell(true, encodePeerGone(peer.key, PeerGoneReason.Disconnected));
    if (!peer.inRelay) this.#departed(peer);
  }

  /** A relay of the region or a sibling asks who is connected; it is told of changes from now on. */
  watch(connection: Connection): void {
    // It ended while what it had said was waiting to be read.
    if (connection.closed) return;
    // Another worker of this relay that came by way of the mesh, or this very one.
    if (!connection.sibling && keysEqual(connection.key, this.#publicKey)) return;
    if (connection.watcher === undefined) {
      connection.watcher = new Watcher(connection, this.#hub.counters, this.telling);
      connection.watcher.confirmed = this.#arrivals.last;
      this.watchers.add(connection.watcher);
    }
    connection.watcher.flood(this.#everybody(connection.sibling));
  }

  /** Ends every connection of a key; on siblings too when `everywhere`. How many ended here. */
  closePeer(key: Uint8Array, everywhere: boolean): number {
    const peer = this.registry.find(key, 0);
    if (peer === undefined) return 0;
    const members = [...peer.members()];
    if (everywhere) {
      const frame = encodeClosePeer(key);
      for (const link of this.links) if (link.sibling && link.peers.has(peer)) link.control(frame);
    }
    for (const connection of members) connection.close();
    return members.length;
  }

  /** Relays of the region are not told: each worker of one has a connection, with one key. */
  #tellHealth(connections: readonly Connection[], frame: Uint8Array): void {
    for (const connection of connections) if (!connection.trusted) connection.control(frame);
  }

  #announce(connection: Connection, toSiblings: boolean): void {
    if (!this.watchers.has(toSiblings)) return;
    this.watchers.tell(toSiblings, presentFrame(connection, toSiblings));
  }

  /** PeerPresent of everybody that a watcher is told of. */
  *#everybody(forSibling: boolean): Generator<Uint8Array> {
    for (const peer of this.registry.peers()) {
      const connection = peer.active ?? peer.members()[0];
      if (connection !== undefined) yield presentFrame(connection, forSibling);
      else if (!forSibling && peer.siblingPresent !== undefined) yield peer.siblingPresent;
    }
    if (forSibling) yield encodeMark(ALL_TOLD);
  }

  // Links, which others dial and read.

  /** A link is up: packets may go there for the keys that {@link present} names from now on. */
  open(name: string, sibling: boolean, socket: LinkSocket): Link {
    const link = new Link(name, sibling, socket, this.#hub);
    this.links.add(link);
    return link;
  }

  /**
   * The other side of a link has a key.
   *
   * @param sibling what a sibling says more of it: the frame to tell others of the region, and when
   *   it connected or spoke, in milliseconds since the Unix epoch
   * @returns false when it has too many: the link should be closed
   */
  present(link: Link, key: Uint8Array, sibling?: { plain: Uint8Array; stamp: number }): boolean {
    if (link.closed || link.peers.size >= MAX_LINK_KEYS) return false;
    const { peer, added } = sibling === undefined
      ? this.registry.addRelay(key, link)
      : this.registry.addSibling(key, link, sibling.stamp, sibling.plain);
    link.peers.add(peer);
    this.#arrived(peer);
    if (!added) return true;
    if (sibling !== undefined) this.watchers.tell(false, sibling.plain);
    else if (peer.relays === 2) this.#hub.counters.multiforwarderCreated += 1;
    return true;
  }

  /** The other side of a link no longer has a key. */
  gone(link: Link, key: Uint8Array): void {
    const peer = this.registry.find(key, 0);
    if (peer === undefined || !link.peers.delete(peer)) {
      this.#hub.counters.forwarderDeleteOther += 1;
    } else this.#lost(link, peer);
  }

  /** A link ended, and with it all that was known through it. */
  closed(link: Link): void {
    link.close();
    this.links.delete(link);
    const peers = [...link.peers];
    link.peers.clear();
    for (const peer of peers) this.#lost(link, peer as Somebody);
  }

  /** The relay ends: nobody waits for siblings, and all links close. */
  close(): void {
    this.#arrivals.close();
    for (const link of [...this.links]) this.closed(link);
  }

  /** Called by the sweep, with the time of `performance.now()`. */
  tick(now: number): void {
    for (const link of this.links) link.tick(now);
    for (const [key, { peer, until }] of this.#departures.entries()) {
      if (now < until) continue;
      this.#departures.delete(key);
      this.#tellGone(peer);
    }
  }

  #lost(link: Link, peer: Somebody): void {
    const before = peer.relays;
    this.registry.removeLink(peer, link);
    if (link.sibling) {
      if (peer.settle()) this.#tellHealth(peer.members(), HEALTHY);
      if (!peer.inRelay) this.#departed(peer);
      return;
    }
    if (before === 2) this.#hub.counters.multiforwarderDeleted += 1;
    if (!peer.known) this.#tellReceivers(peer);
  }

  // Coming and going.

  /** Nobody in this relay has the key any more. */
  #departed(peer: Somebody): void {
    if (!this.#hasSiblings()) return this.#tellGone(peer);
    this.#departures.set(peer.key, { peer, until: performance.now() + MOVE_MS });
  }

  #hasSiblings(): boolean {
    for (const link of this.links) if (link.sibling) return true;
    return this.watchers.has(true);
  }

  /** Somebody has the key. If it was away for a moment only, nobody needs to know. */
  #arrived(peer: Somebody): void {
    if (this.#departures.size === 0) return;
    const departure = this.#departures.get(peer.key);
    if (departure === undefined) return;
    if (departure.peer !== peer) {
      peer.inherit(departure.peer);
      departure.peer = peer;
    }
    if (peer.inRelay) this.#departures.delete(peer.key);
  }

  #tellGone(peer: Somebody): void {
    if (peer.inRelay) return;
    this.watchers.tell(false, encodePeerGone(peer.key, PeerGoneReason.Disconnected));
    if (!peer.known) this.#tellReceivers(peer);
  }

  /** Tells those that packets of a key were queued for that it went. */
  #tellReceivers(peer: Somebody): void {
    const { counters } = this.#hub;
    let frame: Uint8Array | undefined;
    for (const id of peer.receivers()) {
      const receiver = this.registry.byId(id);
      if (receiver === undefined) continue;
      frame ??= encodePeerGone(peer.key, PeerGoneReason.Disconnected);
      if (receiver.controlOrWait(frame)) counters.peerGoneDisconnected += 1;
      else counters.controlDropped += 1;
    }
  }
}

function presentFrame(connection: Connection, forSibling: boolean): Uint8Array {
  const { key, about, peer } = connection;
  const present: PeerPresent = { key, flags: flagsOf(connection) };
  if (about.address !== "") {
    present.address = about.address;
    present.port = about.port;
  }
  return forSibling ? encodeSiblingPresent(present, peer.stamp) : encodePeerPresent(present);
}

function flagsOf({ about }: Connection): number {
  const flags = (about.mesh ? PeerPresentFlag.Mesh : 0) |
    (about.prober ? PeerPresentFlag.Prober : 0) |
    (about.notIdeal ? PeerPresentFlag.NotIdeal : 0);
  return flags === 0 ? PeerPresentFlag.Regular : flags;
}
