/**
 * What waits to be written to a relay, while it is connected and in between.
 *
 * Bounded in bytes, packets and time. A burst may fill the queue; one that stands, because the way to
 * the relay is slower than what comes, is kept short: more would only be delay. Then full-size
 * packets find no room and small ones do, so that handshakes, pings and acknowledgements get
 * through. Their order never changes: overtaking would look like loss to what runs in the tunnel.
 */
import { FRAME_OVERHEAD, SendQueue } from "../connection/mod.ts";
import { Standing } from "../standing.ts";

/** Outgoing bytes and packets that may wait while a write is under way: some 380 full packets. */
const QUEUE_BYTES = 512 * 1024;
const QUEUE_PACKETS = 2048;

/**
 * What full-size packets leave free for small ones (handshakes, pings, acknowledgements, voice), and
 * how much of them may wait when the queue stands. Bytes.
 */
const RESERVE_BYTES = 32 * 1024;
const STANDING_BYTES = 64 * 1024;

/** Packets up to this long are small. Bytes. */
const SMALL_PACKET = 256;

/**
 * A packet that waited longer is not worth sending: on a slow way to the relay a full queue would
 * only add delay to everything behind it. Milliseconds.
 */
const QUEUE_MS = 500;

/**
 * Without a connection the newest few packets are held for a short time, so that a handshake
 * initiation is not lost: WireGuard would wait 5 s before the next one.
 */
const HELD_PACKETS = 32;
const HELD_MS = 2_000;

/** Outgoing packets that were thrown away, by reason. */
export class ClientDrops {
  /** There was no connection, or it came too late. */
  not_connected = 0;
  /** The relay takes packets more slowly than they come: a full-size one found no room. */
  queue_full = 0;
  /** The same, told by how long they waited. */
  queue_age = 0;
  /** The relay asked to send less. */
  rate_limited = 0;
  /** Longer than a queue. */
  too_large = 0;
  /** The connection ended while they were written. */
  write_error = 0;
}

/** See the top of the file. */
export class Outgoing {
  readonly drops: ClientDrops = new ClientDrops();
  /** Takes packets while {@linkcode #spare} is being written; then they change places. */
  #fill = new SendQueue(QUEUE_BYTES, QUEUE_PACKETS);
  #spare: SendQueue | undefined = new SendQueue(QUEUE_BYTES, QUEUE_PACKETS);
  readonly #standing = new Standing(STANDING_BYTES / 2);
  readonly #clock: () => number;
  /** When the first packet of the batch came. */
  #now = 0;
  #batchBegun = false;
  /** Bytes of {@linkcode #fill} that full-size packets may take in this batch. */
  #most = 0;
  #connectedAt = 0;
  #rate = 0;
  #burst = 0;
  #tokens = 0;
  #tokensAt = 0;

  /** @param clock monotonic milliseconds */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /**
   * Queues a packet for a peer; it is copied. Call {@linkcode endBatch} after a batch of them.
   *
   * @param data starts with the packet, and may be longer: see SendQueue
   */
  push(key: Uint8Array, data: Uint8Array, length: number, connected: boolean): void {
    if (!this.#batchBegun) this.#beginBatch();
    const { drops } = this;
    const queue = this.#fill;
    let dropped: number;
    if (connected) {
      if (this.#rate > 0 && !this.#takeTokens(FRAME_OVERHEAD + length)) {
        drops.rate_limited++;
        return;
      }
      const over = queue.packets > 0 && queue.bytes + FRAME_OVERHEAD + length > this.#most;
      if (over && length > SMALL_PACKET) {
        drops.queue_full++;
        return;
      }
      dropped = queue.push(key, data, length, this.#now);
      if (dropped > 0) drops.queue_full += dropped;
    } else {
      dropped = queue.push(key, data, length, this.#now, HELD_PACKETS);
      if (dropped > 0) drops.not_connected += dropped;
    }
    if (dropped < 0) drops.too_large++;
  }

  #beginBatch(): void {
    this.#batchBegun = true;
    const now = this.#now = this.#clock();
    // Nothing is being written and nothing waits.
    if (this.#spare !== undefined && this.#fill.packets === 0) this.#standing.seen(0, now);
    this.#most = this.#standing.strict ? STANDING_BYTES : QUEUE_BYTES - RESERVE_BYTES;
  }

  /** The packets that came together are all there. */
  endBatch(): void {
    this.#batchBegun = false;
  }

  /** DERP: the rate that ServerInfo names counts frames as they are on the wire. */
  #takeTokens(bytes: number): boolean {
    const now = this.#clock();
    this.#tokens = Math.min(
      this.#burst,
      this.#tokens + (now - this.#tokensAt) / 1000 * this.#rate,
    );
    this.#tokensAt = now;
    if (this.#tokens < bytes) return false;
    this.#tokens -= bytes;
    return true;
  }

  /** What waits, to be written and given back by {@linkcode done}; undefined when nothing does. */
  take(): SendQueue | undefined {
    const queue = this.#fill;
    if (queue.packets === 0 || this.#spare === undefined) return undefined;
    const now = this.#clock();
    this.#standing.seen(queue.bytes, now);
    // What was held for this connection may be older, and was looked at when it came to be.
    if (now - this.#connectedAt > QUEUE_MS) {
      this.drops.queue_age += queue.dropOlder(now - QUEUE_MS);
      if (queue.packets === 0) return undefined;
    }
    this.#fill = this.#spare;
    this.#spare = undefined;
    return queue;
  }

  /** A queue is written, or lost with its connection. */
  done(queue: SendQueue, written: boolean): void {
    if (!written) this.drops.write_error += queue.packets;
    queue.clear();
    this.#spare = queue;
  }

  /**
   * There is a connection now.
   *
   * @param rate bytes a second that the relay asks to keep to; 0: any
   * @param burst bytes that may be sent at once
   */
  connected(now: number, rate: number, burst: number): void {
    this.#rate = rate;
    this.#tokens = this.#burst = burst;
    this.#connectedAt = this.#tokensAt = now;
    this.#standing.seen(0, now);
    this.drops.not_connected += this.#fill.dropOlder(now - HELD_MS);
  }

  /** The connection has ended. */
  lost(): void {
    this.drops.not_connected += this.#fill.trim(HELD_PACKETS);
  }

  /** Throws away what waits. */
  clear(): void {
    this.drops.not_connected += this.#fill.packets;
    this.#fill.clear();
  }
}
