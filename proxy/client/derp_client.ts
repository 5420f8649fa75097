/**
 * Stays connected to one relay: connects, comes back when the connection ends, and holds the
 * outgoing packets in between.
 */
import { getLogger } from "@logtape/logtape";
import { keyToHex } from "../../relay/derp/mod.ts";
import {
  type ConnectionLimits,
  type FrameSource,
  type RelayAddress,
  RelayConnection,
  type RelayEvents,
  relayName,
} from "../connection/mod.ts";
import type { RelayConnectionError } from "../error.ts";
import { type ClientDrops, Outgoing } from "./outgoing.ts";

const log = getLogger(["nexd", "proxy"]);

/** A connection that lasted so long was a good one: the next failure is a first one again. */
const GOOD_MS = 3_000;

/** No pause between attempts is longer: a relay that is back must be found within 5 s. */
const MAX_PAUSE_MS = 4_000;

/** A relay's advice to wait before reconnecting is followed up to here. */
const MAX_ADVICE_MS = 10_000;

/** How the connection to a relay is. */
export interface RelayStatus {
  host: string;
  port: number;
  state: "connecting" | "connected" | "closed";
  /** When the state began, ISO 8601. */
  since: string;
  /** The relay's public key, 64 hex digits. */
  serverKey?: string;
  /** The key before, when the relay came back with another one. */
  previousServerKey?: string;
  /** Why there is no connection: one sentence. */
  error?: string;
  /** What the relay says is wrong with this connection. */
  health?: string;
  /** Connections made after the first. */
  reconnects: number;
  /** Round trip to the relay, milliseconds. */
  rttMs?: number;
}

/** What a client is made of. */
export interface ClientOptions {
  relay: RelayAddress;
  caCerts: string[];
  privateKey: Uint8Array;
  events: Pick<RelayEvents, "packet" | "batchEnd" | "peerGone">;
  /** The status changed. */
  onState: () => void;
  /** The relay answered a Ping. */
  onPong?: () => void;
  /** The relay said that it will restart. */
  onAnnounced?: () => void;
  /**
   * The relay will restart and advises to reconnect now; the wait it asked for is over. The owner
   * connects anew and ends this client. Without this, the client ends its connection and reconnects.
   */
  onRestarting?: () => void;
  /** The client that this one takes over from, so that the status goes on. */
  before?: RelayStatus;
  /** This relay is home. Default true. */
  preferred?: boolean;
  /** Time limits of a connection, for tests. */
  limits?: ConnectionLimits;
}

/**
 * Pause before attempt `failures` + 1, in milliseconds: min(n² · 10 ms, 5 s), times a random 0.5
 * to 1.5 so that the clients of a relay do not come back in step, and never over 4 s.
 */
export function pauseAfter(failures: number, random: number = Math.random()): number {
  return Math.min(Math.min(failures * failures * 10, 5_000) * (0.5 + random), MAX_PAUSE_MS);
}

/** See the top of the file. */
export class DerpClient {
  readonly relay: RelayAddress;
  readonly #o: ClientOptions;
  readonly #source: FrameSource;
  readonly #outgoing = new Outgoing();
  #connection: RelayConnection | undefined;
  #status: RelayStatus;
  #malformed = 0;
  #connectedAt = 0;
  /** Reconnect at this time, as the relay advised; 0: it did not. */
  #restartAt = 0;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #closed = false;
  #preferred: boolean;
  /** Does not connect again. */
  #retired = false;

  constructor(options: ClientOptions) {
    this.#o = options;
    this.relay = options.relay;
    this.#preferred = options.preferred ?? true;
    const { host, port } = options.relay;
    this.#status = { host, port, state: "connecting", since: now(), reconnects: 0 };
    const { serverKey, reconnects } = options.before ?? {};
    if (serverKey !== undefined) Object.assign(this.#status, { serverKey, reconnects });
    this.#source = {
      take: () => this.#outgoing.take(),
      done: (queue, written) => this.#outgoing.done(queue, written),
    };
  }

  /** Begins to connect, and goes on until closed. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the connection for good. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#connection?.close();
    this.#wake?.();
    await this.#running;
    this.#outgoing.clear();
    this.#set("closed");
  }

  /** Goes on hearing the connection that there is, and does not connect again after it. */
  retire(): void {
    this.#retired = true;
    this.#connection?.fallSilent();
    this.#wake?.();
  }

  /** Says something to the relay, so that it sends this key's packets here. */
  speak(): void {
    if (this.connected) this.#connection?.ping();
  }

  /** Whether this relay is home, as the relay is told. */
  prefer(home: boolean): void {
    if (home === this.#preferred) return;
    this.#preferred = home;
    this.#connection?.prefer(home);
  }

  /** Outgoing packets that were thrown away. */
  get drops(): ClientDrops {
    return this.#outgoing.drops;
  }

  /** Whether packets reach the relay now. */
  get connected(): boolean {
    return this.#status.state === "connected";
  }

  /** When the present or last connection came to be, monotonic milliseconds; 0: there was none. */
  get connectedAt(): number {
    return this.#connectedAt;
  }

  /** How long the relay has not answered a Ping, milliseconds; 0: it has, or was not asked. */
  get silentMs(): number {
    return this.#connection?.liveness.silentMs(performance.now()) ?? 0;
  }

  /** Pings that were answered on this connection. */
  get pongs(): number {
    return this.#connection?.liveness.pongs ?? 0;
  }

  /** The round trip over the last few Pings on this connection, milliseconds. */
  get averageMs(): number | undefined {
    return this.#connection?.liveness.averageMs;
  }

  /** RecvPacket frames that could not be read. */
  get malformed(): number {
    return this.#malformed + (this.#connection?.malformed ?? 0);
  }

  /** A copy of the present status. */
  status(): RelayStatus {
    const rttMs = this.#connection?.liveness.rttMs;
    return rttMs === undefined ? { ...this.#status } : { ...this.#status, rttMs };
  }

  /**
   * Queues a packet for a peer; it is copied. Call {@linkcode flush} after a batch of them.
   *
   * @param data starts with the packet, and may be longer: see SendQueue
   */
  send(key: Uint8Array, data: Uint8Array, length: number): void {
    this.#outgoing.push(key, data, length, this.connected);
  }

  /** What was queued may wait, for the next {@linkcode flush}. */
  hold(): void {
    this.#outgoing.endBatch();
  }

  /** Sends what was queued, as soon as the write before is done. */
  flush(): void {
    this.#outgoing.endBatch();
    if (this.#status.state === "connected") this.#connection!.flush();
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#closed && !this.#retired) {
      const connection = new RelayConnection({
        relay: this.relay,
        caCerts: this.#o.caCerts,
        privateKey: this.#o.privateKey,
        source: this.#source,
        limits: this.#o.limits,
        preferred: this.#preferred,
        ...(this.#o.onPong === undefined ? {} : { onPong: this.#o.onPong }),
        events: {
          packet: this.#o.events.packet,
          batchEnd: this.#o.events.batchEnd,
          peerGone: this.#o.events.peerGone,
          health: (problem) => this.#health(problem),
          restarting: (reconnectMs) => this.#restarting(connection, reconnectMs),
        },
      });
      this.#connection = connection;
      let connectedAt = 0;
      try {
        await connection.open();
        connectedAt = performance.now();
        this.#connected(connection);
      } catch {
        // `ended` says why.
      }
      const error = await connection.ended;
      this.#malformed += connection.malformed;
      this.#connection = undefined;
      if (this.#closed) return;
      if (this.#retired) {
        // Nothing can be sent, and nothing is held for a next connection.
        this.#outgoing.clear();
        return this.#set("closed");
      }
      const good = connectedAt !== 0 && performance.now() - connectedAt >= GOOD_MS;
      failures = good || this.#restartAt !== 0 ? 1 : failures + 1;
      this.#lost(error);
      await this.#pause(failures);
    }
  }

  #connected(connection: RelayConnection): void {
    const serverKey = keyToHex(connection.serverKey!);
    const before = this.#status.serverKey;
    const changed = before !== undefined && before !== serverKey;
    if (changed) {
      log.warn("Relay {relay} has another key than before", { relay: relayName(this.relay) });
      this.#status.previousServerKey = before;
    }
    if (before !== undefined) this.#status.reconnects++;
    this.#status.serverKey = serverKey;
    delete this.#status.error;
    const { tokenBucketBytesPerSecond = 0, tokenBucketBytesBurst = 0 } = connection.serverInfo!;
    this.#connectedAt = performance.now();
    this.#outgoing.connected(this.#connectedAt, tokenBucketBytesPerSecond, tokenBucketBytesBurst);
    log.info("Connected to relay {relay}", { relay: relayName(this.relay) });
    this.#set("connected");
    this.flush();
  }

  #lost(error: RelayConnectionError): void {
    this.#outgoing.lost();
    delete this.#status.health;
    const repeated = this.#status.error === error.message;
    this.#status.error = error.message;
    if (!repeated) log.warn("{error}", { error: error.message });
    if (this.#status.state !== "connecting" || !repeated) this.#set("connecting");
  }

  #set(state: RelayStatus["state"]): void {
    if (this.#status.state !== state) {
      this.#status.state = state;
      this.#status.since = now();
    }
    this.#o.onState();
  }

  #health(problem: string): void {
    if (problem === (this.#status.health ?? "")) return;
    if (problem === "") delete this.#status.health;
    else this.#status.health = problem;
    this.#o.onState();
  }

  /** Leaves the relay at the advised time; if it ends before, comes back no sooner than that. */
  #restarting(connection: RelayConnection, reconnectMs: number): void {
    if (this.#restartAt !== 0) return;
    this.#o.onAnnounced?.();
    const wait = Math.min(reconnectMs, MAX_ADVICE_MS);
    this.#restartAt = performance.now() + wait;
    const timer = setTimeout(() => {
      if (this.#o.onRestarting !== undefined) this.#o.onRestarting();
      else connection.close(`Relay ${relayName(this.relay)} restarts`);
    }, wait);
    void connection.ended.then(() => clearTimeout(timer));
  }

  async #pause(failures: number): Promise<void> {
    let ms = pauseAfter(failures);
    if (this.#restartAt !== 0) {
      ms = Math.max(ms, this.#restartAt - performance.now());
      this.#restartAt = 0;
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}

function now(): string {
  return new Date().toISOString();
}
