/**
 * The relay's core: takes DERP streams, logs them in, and keeps them going.
 */
import { getLogger } from "@logtape/logtape";
import { encodePeerGone, encodeRestarting, PeerGoneReason, shortKey } from "../derp/mod.ts";
import { Input, Pools } from "./buffers/mod.ts";
import { Connection, type Hub, type Socket } from "./connection.ts";
import { Counters } from "./counters.ts";
import { Flusher } from "./flusher.ts";
import { BUSY_READ, DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { type Identity, login } from "./login.ts";
import { Registry } from "./peers/mod.ts";
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
}

export class RelayServer implements Hub {
  readonly limits: Limits;
  readonly counters = new Counters();
  readonly registry = new Registry<Connection>();
  readonly flusher = new Flusher();
  readonly pools: Pools;
  readonly sweep: Sweep;
  readonly #identity: Identity;
  /** Streams whose login is under way. */
  readonly #loggingIn = new Set<Socket>();
  #nextId = 1;
  #closing = false;

  constructor(identity: Identity, limits: Partial<Limits> = {}) {
    this.#identity = identity;
    this.limits = { ...DEFAULT_LIMITS, ...limits };
    this.pools = new Pools(this.limits);
    this.sweep = new Sweep(this.limits.sweepMs, (now) => {
      for (const connection of this.registry.connections()) connection.tick(now);
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
    // Not awaited: nothing of the login stays alive for as long as the connection does.
    void connection.run();
  }

  async #logIn(socket: Socket, upgrade: Upgrade): Promise<Connection | undefined> {
    const { counters } = this;
    counters.accepts += 1;
    const deadline = this.sweep.deadline(this.limits.loginMs, () => {
      counters.loginTimeouts += 1;
      socket.close();
    });
    try {
      const accepted = await login(socket, this.#identity, upgrade.initial, !upgrade.fastStart);
      if (accepted === undefined || this.#closing || accepted.rest.length > BUSY_READ) {
        counters.loginsRefused += 1;
        return undefined;
      }
      const input = new Input(this.pools);
      input.adopt(accepted.rest);
      const connection = new Connection(
        this.#nextId++,
        accepted.publicKey,
        this,
        socket,
        input,
        upgrade.notIdeal,
      );
      // Before anybody can find the connection: ServerInfo must be the first frame.
      connection.queue.pushControl(accepted.serverInfo);
      connection.flush();
      const peer = connection.peer = this.registry.add(connection);
      counters.currentConnections += 1;
      if (upgrade.notIdeal) counters.currentNotIdeal += 1;
      if (peer.duplicated) counters.dupClientConns += 1;
      logger.debug("{key} logged in from {remote}", {
        key: shortKey(connection.key),
        remote: upgrade.remote,
      });
      return connection;
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

  /** A connection ended: off the lists, and those that heard from its key are told. */
  ended(connection: Connection): void {
    const { counters, registry } = this;
    const { peer } = connection;
    const last = registry.remove(connection, peer);
    counters.currentConnections -= 1;
    if (connection.notIdeal) counters.currentNotIdeal -= 1;
    if (!last || this.#closing) return;
    const frame = encodePeerGone(peer.key, PeerGoneReason.Disconnected);
    for (const id of peer.receivers()) {
      const receiver = registry.byId(id);
      if (receiver === undefined) continue;
      if (receiver.control(frame)) counters.peerGoneDisconnected += 1;
      else counters.controlDropped += 1;
    }
  }

  /** Tells every client that the relay stops, gives them a moment to take it, and ends them. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    for (const socket of this.#loggingIn) tryClose(socket);
    const frame = encodeRestarting(0, 5_000);
    for (const connection of this.registry.connections()) connection.control(frame);
    const until = performance.now() + this.limits.drainMs;
    while (performance.now() < until && !this.#drained()) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    for (const connection of [...this.registry.connections()]) connection.close();
    this.sweep.close();
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
