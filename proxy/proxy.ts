/** Joins WireGuard's side and the relays': a loopback endpoint for each peer, and where peers are. */
import { getLogger } from "@logtape/logtape";
import {
  KEY_LENGTH,
  KeyTable,
  keyToBase64,
  PeerGoneReason,
  publicKeyOf,
} from "../relay/derp/mod.ts";
import { type Capture, openCapture } from "./capture/mod.ts";
import type { RelayAddress } from "./connection/mod.ts";
import { bindEndpoint, checkPort, Endpoints, unbindEndpoint } from "./endpoints/mod.ts";
import { ProxyError } from "./error.ts";
import { Crossing, DATA, isLower } from "./handshakes/mod.ts";
import { newPeer, type Peer, statusOf } from "./peer.ts";
import { HELLO, helloKind, Meeting, type Place, Relays, type Seat } from "./relays/mod.ts";
import { DEFAULT_PORT, type ProxyOptions, type ProxyStatus } from "./types.ts";

const log = getLogger(["nexd", "proxy"]);

/** Changes within this time are told together; peers' places often change by the hundred. ms. */
const CHANGE_MS = 10, PLACES_MS = 500;

/** Length of a keepalive: WireGuard's data without any. Bytes. */
const KEEPALIVE_LENGTH = 32;

/** A handshake is over after this time. Milliseconds. */
const SETTLED_MS = 5_000;

/** Pause before a broken socket is opened again. Milliseconds. */
const REOPEN_MS = 1_000;

/**
 * The proxy between WireGuard and a relay.
 *
 * ```ts
 * const relay = { host: "relay.example.com", port: 443 };
 * const proxy = new Proxy({ privateKey, wireguardPort: 51820, relay });
 * await proxy.start();
 * const endpoint = await proxy.addPeer(peerKey); // "127.0.0.3:9002", for `wg set … endpoint`
 * ```
 */
export class Proxy {
  /** Called when something other than a counter changed: what {@linkcode status} tells. */
  onChange?: () => void;

  readonly #o: ProxyOptions;
  readonly #port: number;
  readonly #endpoints: Endpoints;
  readonly #peers = new KeyTable<Peer>();
  /** Names of peers whose place is known. */
  readonly #present = new Set<string>();
  /** Peers that wait for their address, by name. */
  readonly #adding = new Map<string, Promise<string>>();
  readonly #capture: Capture<Peer>;
  readonly #drops = { unknown_peer: 0, no_socket: 0, crossed_handshake: 0 };
  readonly #publicKey: Uint8Array;
  readonly #relays: Relays;
  readonly #meeting: Meeting;
  /** Of what WireGuard has just sent something is not to wait. */
  #hurry = false;
  #assignedChanged = false;
  #changeTimer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** @throws ProxyError when a key or port cannot be used, or the capture cannot be had */
  constructor(options: ProxyOptions) {
    const { privateKey, port = DEFAULT_PORT } = options;
    if (privateKey.length !== KEY_LENGTH || privateKey.every((byte) => byte === 0)) {
      throw new ProxyError(
        `Cannot log in to a relay: the private key is not ${KEY_LENGTH} bytes of key; ` +
          "give WireGuard's private key",
      );
    }
    checkPort(port, "loopback endpoints");
    this.#o = { ...options, privateKey: privateKey.slice() };
    this.#publicKey = publicKeyOf(privateKey);
    this.#port = port;
    this.#endpoints = new Endpoints(options.assigned);
    this.#capture = openCapture<Peer>(options.capture ?? "auto", {
      packet: this.#fromWireguard,
      batchEnd: this.#wireguardDrained,
      failed: (peer, error) => this.#socketFailed(peer, error),
    });
    this.setWireguardPort(options.wireguardPort);
    this.#relays = new Relays({
      relays: [options.relay],
      privateKey: this.#o.privateKey,
      caCerts: options.caCerts ?? [],
      packet: this.#fromRelay,
      batchEnd: this.#relayDrained,
      peerGone: this.#peerGone,
      onSeats: () => this.#meeting.routeAll(),
      onArrived: (seat) => this.#meeting.arrived(seat),
      onLeft: (seat) => this.#meeting.left(seat),
      needed: ({ slot }) => this.#meeting.isPlace(slot),
      searching: () => this.#meeting.searching,
      onTick: () => this.#capture.collect(),
      onSecond: () => this.#meeting.look(),
      onState: () => this.#changed(),
    });
    this.#meeting = new Meeting({
      seats: () => this.#relays.seats,
      home: () => this.#relays.home,
      peers: () => this.#peers.values(),
      now: () => this.#relays.now,
      onPlace: (where) => this.#placed(where),
    }, this.#relays.choose);
  }

  /** Begins to connect to the relay. Does not wait for it: packets of the first 2 s are held. */
  start(): Promise<void> {
    if (!this.#closed) this.#relays.start();
    return Promise.resolve();
  }

  /**
   * Opens a peer's loopback endpoint, or finds the one it has.
   *
   * @param key the peer's public key, 32 bytes
   * @returns the endpoint for WireGuard, `127.a.b.c:port`
   * @throws ProxyError when no address can be bound
   */
  async addPeer(key: Uint8Array): Promise<string> {
    this.#checkOpen();
    if (key.length !== KEY_LENGTH) {
      throw new ProxyError(`Cannot add peer: its key is ${key.length} bytes, not ${KEY_LENGTH}`);
    }
    const known = this.#peers.get(key);
    if (known !== undefined) return known.endpoint;
    const peer = newPeer(this.#meeting.add(key.slice()));
    const { name } = peer;
    const waiting = this.#adding.get(name);
    if (waiting !== undefined) return await waiting;
    const adding = this.#add(peer);
    this.#adding.set(name, adding);
    try {
      return await adding;
    } finally {
      this.#adding.delete(name);
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new ProxyError("Cannot add peer: the proxy is closed; start a new one");
  }

  async #add(peer: Peer): Promise<string> {
    if (isLower(this.#publicKey, peer.key)) peer.crossing = this.#crossing(peer);
    const before = this.#endpoints.addressOf(peer.name);
    try {
      await bindEndpoint(peer, {
        endpoints: this.#endpoints,
        capture: this.#capture,
        port: this.#port,
        loopback: this.#o.loopback,
        checkOpen: () => this.#checkOpen(),
      });
    } catch (error) {
      this.#endpoints.release(peer.name);
      throw error;
    }
    this.#peers.set(peer.key, peer);
    if (this.#endpoints.addressOf(peer.name) !== before) this.#tellAssigned();
    this.#changed();
    return peer.endpoint;
  }

  #crossing(peer: Peer): Crossing {
    return new Crossing({
      toRelay: (packet) => {
        this.#toRelay(peer, packet, packet.length);
        this.#relays.flush();
      },
      toWireguard: (packet) => {
        this.#toWireguard(peer, packet, 0, packet.length);
        void this.#capture.flush();
      },
      dropped: () => this.#drops.crossed_handshake++,
      connectedAt: () => peer.where.target.connectedAt,
    });
  }

  /** Closes a peer's endpoint. The address stays reserved for it as long as there is room. */
  async removePeer(key: Uint8Array): Promise<void> {
    await this.#adding.get(keyToBase64(key))?.catch(() => {});
    const peer = this.#peers.get(key);
    if (peer === undefined) return;
    peer.removed = true;
    clearTimeout(peer.reopen);
    peer.crossing?.close();
    this.#peers.delete(key);
    this.#present.delete(peer.name);
    const closed = peer.socket?.close();
    this.#endpoints.release(peer.name);
    this.#changed();
    await closed;
    await unbindEndpoint(peer, this.#o.loopback);
  }

  /** Tells which port WireGuard has: the only one that is listened and sent to. */
  setWireguardPort(port: number): void {
    checkPort(port, "WireGuard");
    this.#capture.setWireguardPort(port);
  }

  // The packets' way

  readonly #fromWireguard = (peer: Peer, data: Uint8Array, length: number): void => {
    peer.txPackets++;
    peer.txBytes += length;
    this.#meeting.stir(peer);
    if (length !== KEEPALIVE_LENGTH || !this.#mayWait(peer, data)) this.#hurry = true;
    if (data[0] !== DATA && peer.crossing?.outgoing(data, length) === false) return;
    this.#toRelay(peer, data, length);
  };

  /**
   * A keepalive says no more when it comes at once, and each write to a relay costs as much as many
   * packets in one. The first of a session does: the other side sends nothing before it.
   */
  #mayWait({ where }: Peer, data: Uint8Array): boolean {
    return data[0] === DATA && this.#relays.now - where.initiatedAt > SETTLED_MS;
  }

  #toRelay({ where }: Peer, data: Uint8Array, length: number): void {
    where.target.send(where.key, data, length);
    const { more } = where;
    if (more !== undefined) {
      for (let i = 0; i < more.length; i++) more[i]!.send(where.key, data, length);
    }
    if (data[0] !== DATA) this.#meeting.handshake(where, data, length);
  }

  readonly #wireguardDrained = (): void => {
    if (this.#hurry) this.#relays.flush();
    else this.#relays.hold();
    this.#hurry = false;
  };

  readonly #fromRelay = (
    seat: Seat,
    buf: Uint8Array,
    key: number,
    offset: number,
    length: number,
  ): void => {
    const peer = this.#peers.get(buf, key);
    if (peer === undefined) {
      this.#drops.unknown_peer++;
      return;
    }
    const { where } = peer;
    this.#relays.heard(seat.slot, where.heardAt);
    if (peer.gone !== undefined) peer.gone = undefined;
    const first = buf[offset];
    if (first === HELLO) {
      const kind = helloKind(buf, offset, length);
      if (kind !== undefined) return this.#meeting.hello(where, seat, kind);
    }
    if (where.place !== seat.slot) this.#meeting.elsewhere(where, seat);
    if (first !== DATA && peer.crossing?.incoming(buf, offset, length) === false) return;
    this.#toWireguard(peer, buf, offset, length);
  };

  #toWireguard(peer: Peer, buf: Uint8Array, offset: number, length: number): void {
    if (peer.socket === undefined) {
      this.#drops.no_socket++;
      return;
    }
    peer.rxPackets++;
    peer.rxBytes += length;
    this.#capture.send(peer.socket, buf, offset, length);
  }

  readonly #relayDrained = (): Promise<void> | undefined => this.#capture.flush();

  readonly #peerGone = (seat: Seat, key: Uint8Array, reason: number): void => {
    const peer = this.#peers.get(key);
    if (peer === undefined) return;
    this.#meeting.gone(peer.where, seat, reason);
    if (peer.where.place >= 0) return;
    const gone = reason === PeerGoneReason.NotHere ? "not at this relay" : "left the relay";
    if (peer.gone === gone) return;
    // That one is not here who never was is no news; of a thousand a relay says so for minutes.
    const never = peer.gone === undefined && peer.rxPackets === 0;
    peer.gone = gone;
    if (!never || reason !== PeerGoneReason.NotHere) this.#changed();
  };

  #socketFailed(peer: Peer, error: Error): void {
    if (peer.removed || this.#closed) return;
    log.warn("Endpoint {endpoint} failed, opening it again: {error}", {
      endpoint: peer.endpoint,
      error: error.message,
    });
    peer.socket = undefined;
    peer.reopen = setTimeout(() => {
      try {
        const address = peer.endpoint.slice(0, peer.endpoint.lastIndexOf(":"));
        peer.socket = this.#capture.open(address, this.#port, peer);
      } catch (again) {
        this.#socketFailed(peer, again as Error);
      }
    }, REOPEN_MS);
  }

  /**
   * Tells which relays there are, in the order that all agents of the VPC have in common. Those of
   * one `region` are alike, and the nearest healthy one of them is used; a region that comes earlier
   * is preferred. An empty list changes nothing. Changing from one relay to another loses no packet
   * while both work: the new one is logged in at before the old one is left.
   */
  setRelays(relays: readonly RelayAddress[]): void {
    if (!this.#closed) this.#relays.set(relays);
  }

  /**
   * This host may have got another address: connections that do not answer within half a second are
   * made anew, and left only when the new ones stand.
   */
  moved(): void {
    if (!this.#closed) this.#relays.moved();
  }

  // What it is doing

  /** Name of the home relay. */
  get home(): string {
    return this.#relays.home.relay.host;
  }

  /** When the home relay was logged in at, monotonic milliseconds; undefined while it is not. */
  get homeSince(): number | undefined {
    const { client } = this.#relays.home;
    return client.connected ? client.connectedAt : undefined;
  }

  /** Peers of whom something came through a relay in the last minutes, by key in base64. */
  get present(): ReadonlySet<string> {
    return this.#present;
  }

  #placed({ key, place, initiatedAt }: Place): void {
    const name = this.#peers.get(key)?.name;
    if (name === undefined) return;
    if (place < 0) this.#present.delete(name);
    else this.#present.add(name);
    // Whoever is being called anyway is not waited for.
    if (this.#relays.now - initiatedAt > SETTLED_MS) this.#changed(PLACES_MS);
  }

  /** A snapshot. */
  status(): ProxyStatus {
    const drops: Record<string, number> = { ...this.#drops, ...this.#relays.drops() };
    for (const [reason, count] of Object.entries(this.#capture.drops)) {
      drops[reason] = (drops[reason] ?? 0) + count;
    }
    return {
      capture: this.#capture.kind,
      relay: this.#relays.home.client.status(),
      relays: this.#relays.status(),
      peers: [...this.#peers.values()].map((peer) =>
        statusOf(peer, this.#relays.at(peer.where.place)?.relay.host)
      ),
      drops,
    };
  }

  #changed(pause = CHANGE_MS): void {
    if (this.#closed || this.#changeTimer !== undefined) return;
    this.#changeTimer = setTimeout(() => {
      this.#changeTimer = undefined;
      this.onChange?.();
    }, pause);
  }

  /** Peers often come many at a time: the owner is told once. */
  #tellAssigned(): void {
    if (this.#o.onAssigned === undefined || this.#assignedChanged) return;
    this.#assignedChanged = true;
    queueMicrotask(() => {
      this.#assignedChanged = false;
      this.#o.onAssigned?.(this.#endpoints.assigned());
    });
  }

  /** Closes everything. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#changeTimer);
    for (const peer of this.#peers.values()) {
      clearTimeout(peer.reopen);
      peer.crossing?.close();
    }
    await Promise.all([this.#capture.close(), this.#relays.close()]);
  }
}
