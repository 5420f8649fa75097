/**
 * The relay's core: takes DERP streams, logs them in, and keeps them going.
 */
import { getLogger } from "@logtape/logtape";
import { encodeRestarting, keysEqual, shortKey } from "../derp/mod.ts";
import type { LinkState, RelaySnapshot } from "../state/mod.ts";
import { Input, Pools } from "./buffers/mod.ts";
import { type About, Connection, type Hub, type Socket } from "./connection.ts";
import { Counters } from "./counters.ts";
import { Flusher } from "./turns/mod.ts";
import { BUSY_READ, DEFAULT_LIMITS, type Limits, MIN_RATE_BURST } from "./limits.ts";
import { ALL_TOLD } from "./links/mod.ts";
import { type Identity, type Login, login } from "./login.ts";
import { Peer } from "./peers/mod.ts";
import type { RateLimit } from "./rate/mod.ts";
import { Region } from "./region/mod.ts";
import { Distribution, takeSnapshot } from "./report/mod.ts";
import { Sweep } from "./sweep.ts";

const logger = getLogger(["nexd", "relay"]);

/** What the HTTP side knows of a stream it hands over. */
export interface Upgrade {
  /** Bytes that came behind the request head. */
  initial: Uint8Array;
  /** The client sent its ClientInfo along and wants no 101 answer. */
  fastStart: boolean;
  /** The client would rather be on another node of the region. */
  notIdeal: boolean;
  /** For logs: the client's address. */
  remote: string;
  /** IP address of the client's TCP connection, v4-mapped already as IPv4; "" when unknown. */
  address?: string;
  port?: number;
  websocket?: boolean;
  /** When the TCP connection was accepted, in milliseconds of `performance.now()`. */
  acceptedAt?: number;
}

/**
 * Decides whether a client may log in. Rejecting counts as no.
 *
 * @param key the client's public key, proven to be its own
 * @param address IP address of its TCP connection; "" when unknown
 */
export type Admit = (key: Uint8Array, address: string) => boolean | Promise<boolean>;

/** How to announce a restart. All in milliseconds. */
export interface Restart {
  /** Clients wait this long before they come back, */
  reconnectMs: number;
  /** and a random part of this, each its own, so that they do not come all at once; */
  smearMs: number;
  /** then keep trying for this long. */
  tryMs: number;
}

/** Classes of the login histogram, in seconds. */
const LOGIN_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Classes of the histogram of packets in a write. */
const WRITE_PACKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

export class RelayServer implements Hub {
  readonly limits: Limits;
  readonly counters = new Counters();
  readonly flusher = new Flusher(this.counters);
  readonly pools: Pools;
  readonly sweep: Sweep;
  /** Who has which key, here and elsewhere. */
  readonly region: Region;
  readonly registry: Region["registry"];
  readonly framesPerWrite = new Distribution(WRITE_PACKETS);
  /** Asked at each login, except those of the mesh. May be replaced at any time. */
  admit: Admit | undefined;
  /** 32 bytes that relays of this region share; undefined or zero for no mesh. */
  meshKey: Uint8Array | undefined;
  /** Tells the state of links in snapshots. */
  links: { mesh(): LinkState[]; siblings(): LinkState[] } | undefined;

  readonly #identity: Identity;
  readonly #loginSeconds = new Distribution(LOGIN_SECONDS);
  readonly #since = Date.now();
  /** Streams whose login is under way. */
  readonly #loggingIn = new Set<Socket>();
  /** Other workers that watch this one, and what is called when one knows all keys from before. */
  readonly #siblings = new Map<Connection, () => void>();
  #rate: RateLimit | undefined;
  #nextId = 1;
  #announced = false;
  #closing = false;

  constructor(
    identity: Identity,
    limits: Partial<Limits> = {},
    more: { meshKey?: Uint8Array; admit?: Admit } = {},
  ) {
    this.#identity = identity;
    this.limits = { ...DEFAULT_LIMITS, ...limits };
    this.meshKey = more.meshKey;
    this.admit = more.admit;
    this.pools = new Pools(this.limits);
    this.region = new Region(identity.publicKey, this);
    this.registry = this.region.registry;
    this.sweep = new Sweep(this.limits.sweepMs, (now) => {
      for (const connection of this.registry.connections()) connection.tick(now);
      for (const connection of this.#siblings.keys()) connection.tick(now);
      this.region.tick(now);
    });
  }

  get publicKey(): Uint8Array {
    return this.#identity.publicKey;
  }

  /** Takes over a stream whose request asked for DERP. Never rejects; the socket ends with it. */
  async accept(socket: Socket, upgrade: Upgrade): Promise<void> {
    if (this.#closing) return tryClose(socket);
    this.#loggingIn.add(socket);
    const connection = await this.#logIn(socket, upgrade);
    this.#loggingIn.delete(socket);
    if (connection === undefined) return tryClose(socket);
    if (connection.closed) connection.input.release();
    else connection.run();
  }

  async #logIn(socket: Socket, upgrade: Upgrade): Promise<Connection | undefined> {
    const { counters } = this;
    counters.accepts += 1;
    if (upgrade.websocket) counters.websocketAccepts += 1;
    const deadline = this.sweep.deadline(this.limits.loginMs, () => {
      counters.loginTimeouts += 1;
      socket.close();
    });
    try {
      const accepted = await login(socket, this.#identity, upgrade.initial, !upgrade.fastStart);
      deadline.end();
      if (accepted === undefined || this.#closing || accepted.rest.length > BUSY_READ) {
        counters.loginsRefused += 1;
        return undefined;
      }
      const mesh = this.#knowsMeshKey(accepted);
      if (!mesh && !await this.#admitted(accepted.publicKey, upgrade)) return undefined;
      return await this.#register(socket, accepted, upgrade, mesh);
    } catch (error) {
      counters.loginsRefused += 1;
      logger.debug("Login from {remote} refused: {error}", {
        remote: upgrade.remote,
        error: String(error),
      });
      return undefined;
    } finally {
      deadline.end();
    }
  }

  #knowsMeshKey({ info }: Login): boolean {
    const { meshKey } = this;
    if (meshKey === undefined || info.meshKey === undefined) return false;
    // The zero key is what a key file that was never filled in would give to everybody.
    return keysEqual(meshKey, Uint8Array.fromHex(info.meshKey)) && meshKey.some((byte) => byte > 0);
  }

  /** Asks admission, for so long. */
  async #admitted(key: Uint8Array, { address = "", remote }: Upgrade): Promise<boolean> {
    if (this.admit === undefined) return true;
    let admitted = false;
    let reason = "not admitted";
    try {
      const verdict = this.admit(key, address);
      admitted = typeof verdict === "boolean" ? verdict : await new Promise((resolve, reject) => {
        const deadline = this.sweep.deadline(
          this.limits.admitMs,
          () => reject(new Error("admission took too long")),
        );
        verdict.then(resolve, reject).finally(() => deadline.end());
      });
    } catch (error) {
      reason = String(error);
    }
    if (admitted === true) return !this.#closing;
    this.counters.admissionRefused += 1;
    // A stranger may come as often as he likes: the operator gets a count a minute instead.
    logger.debug("{key} from {remote} refused: {reason}", { key: shortKey(key), remote, reason });
    return false;
  }

  /** Puts a connection on the lists; it may have ended while siblings heard of it. */
  async #register(
    socket: Socket,
    accepted: Login,
    upgrade: Upgrade,
    mesh: boolean,
  ): Promise<Connection> {
    const { counters } = this;
    const input = new Input(this.pools);
    input.adopt(accepted.rest);
    const about: About = {
      address: upgrade.address ?? "",
      port: upgrade.port ?? 0,
      mesh,
      prober: accepted.info.isProber === true,
      notIdeal: upgrade.notIdeal,
      websocket: upgrade.websocket === true,
    };
    const id = this.#nextId++;
    const connection = new Connection(id, accepted.publicKey, this, socket, input, about);
    if (!mesh) connection.setRate(this.#rate);
    // Before anybody can find the connection: ServerInfo must be the first frame.
    connection.queue.pushControl(accepted.serverInfo);
    connection.held = true;
    const known = this.region.joined(connection);
    this.#loggingIn.delete(socket);
    counters.currentConnections += 1;
    if (upgrade.notIdeal) counters.currentNotIdeal += 1;
    if (connection.peer.duplicated) counters.dupClientConns += 1;
    // It is not read meanwhile either: whoever got a packet of its could answer.
    if (known !== undefined) await known;
    connection.held = false;
    connection.flush();
    if (upgrade.acceptedAt !== undefined) {
      this.#loginSeconds.add((performance.now() - upgrade.acceptedAt) / 1000);
    }
    logger.debug("{key} logged in from {remote}", {
      key: shortKey(connection.key),
      remote: upgrade.remote,
    });
    return connection;
  }

  /**
   * Takes over the accepted side of a stream from another worker of this relay: mesh frames from
   * the first byte on, no login. The socket ends with it, and then it resolves; it never rejects.
   *
   * @param told called when the other worker knows all keys that were here when it asked
   */
  async acceptSibling(socket: Socket, told: () => void = () => {}): Promise<void> {
    if (this.#closing) return tryClose(socket);
    const about: About = { address: "", port: 0, sibling: true };
    const input = new Input(this.pools);
    const connection = new Connection(this.#nextId++, this.publicKey, this, socket, input, about);
    // Of no table: nothing is ever sent to a sibling's connection by its key.
    connection.peer = new Peer(connection.key);
    this.#siblings.set(connection, told);
    await new Promise<void>((resolve) => connection.run(resolve));
  }

  /** A connection ended: off the lists, and those that must know are told. */
  ended(connection: Connection): void {
    if (connection.sibling) this.#siblings.delete(connection);
    else {
      this.counters.currentConnections -= 1;
      if (connection.about.notIdeal) this.counters.currentNotIdeal -= 1;
    }
    this.region.left(connection, this.#closing);
  }

  spoke(connection: Connection): void {
    this.region.spoke(connection);
  }

  watch(connection: Connection): void {
    this.region.watch(connection);
  }

  confirmed(connection: Connection, mark: number): void {
    if (mark === ALL_TOLD) this.#siblings.get(connection)?.();
    else this.region.confirmed(connection, mark);
  }

  /** Ends every connection of a key, also on siblings unless told not to. How many ended here. */
  closePeer(key: Uint8Array, everywhere = true): number {
    return this.region.closePeer(key, everywhere);
  }

  /**
   * Limits what each client may send, also those that are connected: each starts with a full bucket.
   * Relays of the region are exempt. Undefined or a rate of 0 is no limit.
   */
  setRateLimit(limit: RateLimit | undefined): void {
    this.#rate = limit === undefined || limit.bytesPerSecond <= 0
      ? undefined
      : { ...limit, burst: Math.max(MIN_RATE_BURST, limit.burst) };
    for (const connection of this.registry.connections()) {
      if (!connection.trusted) connection.setRate(this.#rate);
    }
  }

  /** Tells every client that the relay will stop. Returns how many were told. */
  announceRestart({ reconnectMs, smearMs, tryMs }: Restart): number {
    this.#announced = true;
    let told = 0;
    for (const connection of this.registry.connections()) {
      const wait = Math.round(reconnectMs + Math.random() * smearMs);
      if (connection.control(encodeRestarting(wait, tryMs))) told += 1;
    }
    this.counters.restartingSent += told;
    return told;
  }

  /** The relay's state now. What others know (streams of ordinary HTTP) is left 0. */
  snapshot(): RelaySnapshot {
    const snapshot = takeSnapshot({
      counters: this.counters,
      region: this.region,
      loginSeconds: this.#loginSeconds,
      framesPerWrite: this.framesPerWrite,
      loggingIn: this.#loggingIn.size,
      since: this.#since,
    });
    snapshot.mesh = this.links?.mesh() ?? [];
    snapshot.siblings = this.links?.siblings() ?? [];
    return snapshot;
  }

  /** Tells every client that the relay stops, gives them a moment to take it, and ends them. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    for (const socket of this.#loggingIn) tryClose(socket);
    if (!this.#announced) this.announceRestart({ reconnectMs: 0, smearMs: 0, tryMs: 5_000 });
    const until = performance.now() + this.limits.drainMs;
    while (performance.now() < until && !this.#drained()) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    for (const connection of [...this.registry.connections(), ...this.#siblings.keys()]) {
      connection.close();
    }
    this.region.close();
    this.sweep.close();
    this.flusher.close();
  }

  #drained(): boolean {
    for (const connection of this.registry.connections()) if (!connection.idle) return false;
    return true;
  }
}

function tryClose(socket: Socket): void {
  try {
    socket.close();
  } catch {
    // Closed before.
  }
}
