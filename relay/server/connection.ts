/**
 * One logged-in client: its read loop, its queue, its writer.
 *
 * The read loop never waits for anything but its own socket, and the writer never for anything but
 * its own: a slow client costs itself packets and nobody else.
 */
import { getLogger } from "@logtape/logtape";
import { encodeKeepAlive, encodePeerGone, PeerGoneReason, shortKey } from "../derp/mod.ts";
import { type Input, OutputQueue, type Pools } from "./buffers/mod.ts";
import type { Counters } from "./counters.ts";
import type { Flushable, Flusher, Resumable } from "./turns/mod.ts";
import { walk } from "./frames.ts";
import { type Limits, MAX_LATE, NOT_HERE_BURST } from "./limits.ts";
import type { Link } from "./links/mod.ts";
import type { Peer, Registry, Watcher } from "./peers/mod.ts";
import { Pace, type RateLimit } from "./rate/mod.ts";
import type { Distribution } from "./report/mod.ts";

/** What a connection needs of its transport. `Deno.Conn` is one. */
export interface Socket {
  /** Reads some bytes; null at the end of the stream. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes some bytes. */
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** What all connections of one relay share. */
export interface Hub {
  readonly limits: Limits;
  readonly counters: Counters;
  readonly registry: Registry<Connection, Link>;
  readonly flusher: Flusher;
  readonly pools: Pools;
  /** Packets in each write. */
  readonly framesPerWrite: Distribution;
  /** Takes a connection that ended off every list. */
  ended(connection: Connection): void;
  /** A connection whose key is contended sent a frame. */
  spoke(connection: Connection): void;
  /** A relay of the region, or a sibling, wants to know who is connected. */
  watch(connection: Connection): void;
  /** A sibling knows all that it was told before a mark. */
  confirmed(connection: Connection, mark: number): void;
  /** Ends every connection of a key, also on siblings when `everywhere`. */
  closePeer(key: Uint8Array, everywhere?: boolean): number;
}

/** Who is at the other end. */
export interface About {
  /** IP address of the client's TCP connection; "" when unknown. */
  readonly address: string;
  readonly port: number;
  /** A relay of the region: it knows the mesh key. */
  readonly mesh?: boolean;
  /** A worker of this very relay. */
  readonly sibling?: boolean;
  /** Said that it is a prober. */
  readonly prober?: boolean;
  /** Would rather be on another node of the region. */
  readonly notIdeal?: boolean;
  readonly websocket?: boolean;
}

const logger = getLogger(["nexd", "relay"]);

const KEEP_ALIVE = encodeKeepAlive();

/** More than this in one write makes a slow client's progress invisible until it is too late. */
const WRITE_CHUNK = 64 * 1024;

/** After a write that took longer than this, pieces are small, so that progress is seen. */
const SLOW_WRITE_MS = 250;
const SLOW_CHUNK = 8 * 1024;

/**
 * What one connection may read in one turn of the event loop, in bytes; each read counts for
 * {@link READ_COST} more. A read that finds data resolves within the turn, so a client that sends
 * without end would otherwise keep everybody else, and all writes, waiting.
 */
const TURN_BYTES = 32 * 1024;
const READ_COST = 2 * 1024;

export class Connection implements Flushable, Resumable {
  readonly queue: OutputQueue;
  marked = false;
  markedLater = false;
  closed = false;
  /** True until every sibling knows of it; nothing is written then. */
  held = false;
  /** Destination of the last packet: most packets go where the one before went. */
  lastDestination: Peer<Connection, Link> | undefined;
  /** Source of the last packet that another relay or worker forwarded. */
  lastSource: Peer<Connection, Link> | undefined;
  peer!: Peer<Connection, Link>;
  /** What a relay or sibling is told of who is connected, once it asked. */
  watcher: Watcher | undefined;
  /** Whether it may do what only a relay of the region may. */
  readonly trusted: boolean;
  readonly sibling: boolean;
  /** When it logged in: milliseconds since the Unix epoch. */
  readonly since: number = Date.now();
  receivedBytes = 0;
  sentBytes = 0;
  /** Keys that have sent to it; one that left and came back counts again. */
  uniqueSenders = 0;
  /** Bytes of an unknown frame still to be thrown away. */
  skip = 0;

  /** Frames that found no room and may not be lost. */
  #late: Uint8Array[] | undefined;
  #preferred = false;
  #pace: Pace | undefined;
  #slow = false;
  #writeSince = 0;
  #turn = -1;
  #turnBytes = 0;
  #came: ((result: unknown) => void) | undefined;
  #keepAliveAt: number;
  #notHereTokens = NOT_HERE_BURST;
  #notHereAt = 0;
  readonly #started: number;

  constructor(
    readonly id: number,
    readonly key: Uint8Array,
    readonly hub: Hub,
    readonly socket: Socket,
    readonly input: Input,
    readonly about: About,
  ) {
    this.sibling = about.sibling === true;
    this.trusted = this.sibling || about.mesh === true;
    this.queue = new OutputQueue(hub.limits, hub.pools, hub.counters);
    this.#started = performance.now();
    this.#keepAliveAt = this.#started + hub.limits.keepAliveMs +
      Math.random() * hub.limits.keepAliveJitterMs;
  }

  /**
   * Reads until the stream or the connection ends, and calls `ended` then. One function for whatever
   * comes of a read: an async one would keep several objects alive for each silent connection.
   */
  run(ended?: () => void): void {
    const came = (result: unknown): void => {
      if (typeof result === "number" && !this.closed) {
        this.input.filled(result);
        this.receivedBytes += result;
        if (this.#consume(result, came)) return;
      }
      // Reset, ended, or closed by us.
      this.input.release();
      this.close();
      ended?.();
    };
    // Frames may have come glued behind the login.
    if (!this.#consume(0, came)) came(null);
  }

  /** Handles what has been read and reads on, keeping to the rate. False when that is the end. */
  #consume(n: number, came: (result: unknown) => void): boolean {
    try {
      if (!walk(this)) {
        this.hub.counters.protocolErrors += 1;
        return false;
      }
      const wait = n === 0 ? undefined : this.#pace?.read(n);
      if (wait !== undefined) {
        void wait.then(() => this.#consume(0, came) || came(null));
        return true;
      }
      if (this.closed) return false;
      if (this.#hadItsTurn(n)) {
        this.#came = came;
        this.hub.flusher.resumeLater(this);
      } else this.socket.read(this.input.room()).then(came, came);
      return true;
    } catch (error) {
      // No client can bring this about, so it is worth a line each time.
      logger.error("Ended {key}: {error}", { key: shortKey(this.key), error });
      return false;
    }
  }

  /** Counts a read of `n` bytes, and tells whether it was this turn's last. */
  #hadItsTurn(n: number): boolean {
    const { turn } = this.hub.flusher;
    if (turn !== this.#turn) {
      this.#turn = turn;
      this.#turnBytes = 0;
    }
    this.#turnBytes += n + READ_COST;
    return this.#turnBytes >= TURN_BYTES;
  }

  /** Called by the flusher in the turn after one that was used up: reads on. */
  resume(): void {
    const came = this.#came;
    this.#came = undefined;
    if (came === undefined) return;
    if (this.closed) came(null);
    else this.socket.read(this.input.room()).then(came, came);
  }

  /** Keeps reading to a rate from now on, starting with a full bucket; undefined for none. */
  setRate(limit: RateLimit | undefined): void {
    this.#pace?.end();
    this.#pace = limit === undefined ? undefined : new Pace(limit, this.hub.counters);
  }

  /** Queues a control frame and has it written at the end of the turn. */
  control(frame: Uint8Array): boolean {
    if (this.closed) return false;
    if (!this.queue.pushControl(frame)) return false;
    this.hub.flusher.mark(this);
    return true;
  }

  /** As {@link control}, but a frame that finds no room waits for some. */
  controlOrWait(frame: Uint8Array): boolean {
    if (this.#late === undefined && this.control(frame)) return true;
    if (this.closed || (this.#late?.length ?? 0) >= MAX_LATE) return false;
    (this.#late ??= []).push(frame);
    return true;
  }

  #queueLate(): void {
    const late = this.#late;
    if (late === undefined) return;
    let queued = 0;
    while (queued < late.length && this.control(late[queued]!)) queued += 1;
    this.#late = queued === late.length ? undefined : late.slice(queued);
  }

  /** Starts writing what waits, unless a write is on its way: that one continues by itself. */
  flush(): void {
    if (!this.closed && !this.held && !this.queue.writing) void this.#write();
  }

  async #write(): Promise<void> {
    const { packets } = this.queue;
    const batch = this.queue.beginWrite();
    if (batch === undefined) return;
    let sent = false;
    try {
      for (let at = 0; at < batch.length;) {
        const chunk = this.#slow ? SLOW_CHUNK : WRITE_CHUNK;
        const piece = at === 0 && batch.length <= chunk
          ? batch
          : batch.subarray(at, Math.min(batch.length, at + chunk));
        const started = this.#writeSince = performance.now();
        at += await this.socket.write(piece);
        this.#slow = performance.now() - started > SLOW_WRITE_MS;
      }
      sent = true;
    } catch {
      // The other side is gone, or the sweep closed it.
    }
    this.#writeSince = 0;
    this.queue.endWrite(sent);
    if (sent) {
      this.sentBytes += batch.length;
      if (packets > 0) this.hub.framesPerWrite.add(packets);
      this.#queueLate();
      this.watcher?.refill();
    }
    if (!sent) this.close();
    else if (!this.queue.empty) this.hub.flusher.mark(this);
    if (this.closed) this.queue.clear();
  }

  /** Called by the sweep: write deadline, age of what waits, keep-alive. */
  tick(now: number): void {
    const { limits, counters } = this.hub;
    const writeMs = this.trusted ? limits.meshWriteMs : limits.writeMs;
    if (this.#writeSince !== 0 && now - this.#writeSince >= writeMs) {
      counters.writeTimeouts += 1;
      this.close();
      return;
    }
    this.queue.expire(now);
    if (now >= this.#keepAliveAt) {
      this.#keepAliveAt += limits.keepAliveMs;
      if (!this.control(KEEP_ALIVE)) counters.controlDropped += 1;
    }
  }

  /** Whether this relay is the client's home. */
  get preferred(): boolean {
    return this.#preferred;
  }

  /** The client says whether this relay is its home. */
  notePreferred(preferred: boolean): void {
    if (preferred === this.#preferred) return;
    this.#preferred = preferred;
    const { counters } = this.hub;
    counters.currentHome += preferred ? 1 : -1;
    // A client that has just come has not moved; it has chosen.
    if (performance.now() - this.#started < this.hub.limits.settleMs) return;
    if (preferred) counters.homeMovesIn += 1;
    else counters.homeMovesOut += 1;
  }

  /** Tells the client that `key` is not here, at most so often. */
  notHere(key: Uint8Array): void {
    const now = performance.now();
    if (this.#notHereAt !== 0) {
      const earned = (now - this.#notHereAt) / 1000;
      this.#notHereTokens = Math.min(NOT_HERE_BURST, this.#notHereTokens + earned);
    }
    this.#notHereAt = now;
    if (this.#notHereTokens < 1) return;
    this.#notHereTokens -= 1;
    if (this.control(encodePeerGone(key, PeerGoneReason.NotHere))) {
      this.hub.counters.peerGoneNotHere += 1;
    } else this.hub.counters.controlDropped += 1;
  }

  /** Ends the connection and takes it off the registry. Safe to call twice. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    try {
      this.socket.close();
    } catch {
      // Already closed by the runtime.
    }
    // It left its home, and the home did not change: a gauge's matter only.
    if (this.#preferred) this.hub.counters.currentHome -= 1;
    this.lastDestination = this.lastSource = this.#late = undefined;
    this.#pace?.end();
    if (!this.queue.writing) this.queue.clear();
    this.hub.ended(this);
  }

  /** True when nothing waits and nothing is being written. */
  get idle(): boolean {
    return this.queue.empty && !this.queue.writing;
  }
}
