/**
 * A link that this relay forwards packets on: to another relay of the region, or to a sibling.
 *
 * Whoever dials reads the link and says what comes; here is what is written to it, and the keys
 * that it leads to. Nobody waits for a link: what it cannot take is dropped and counted.
 */
import {
  FrameType,
  HEADER_LENGTH,
  isDisco,
  KEY_LENGTH,
  payloadLength,
  writeHeader,
} from "../../derp/mod.ts";
import { PACKET_PREFIX, type Pools } from "../buffers/mod.ts";
import { type Counters, DropReason } from "../counters.ts";
import type { Flushable, Flusher } from "../turns/mod.ts";
import type { Limits } from "../limits.ts";
import type { Carrier, Member, Peer } from "../peers/mod.ts";
import { LinkQueue } from "./queue.ts";
import { FORWARD_PREFIX, RUN_PREFIX, SiblingFrame } from "./wire.ts";

/** What a link writes to. */
export interface LinkSocket {
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** What all links of one relay share. */
export interface LinkHub {
  readonly limits: Limits;
  readonly counters: Counters;
  readonly flusher: Flusher;
  readonly pools: Pools;
}

export class Link implements Carrier, Flushable {
  marked = false;
  markedLater = false;
  closed = false;
  /** Packets handed to the other side, and packets lost on the way there. */
  sentPackets = 0;
  droppedPackets = 0;
  /** The keys that the other side has. */
  readonly peers = new Set<Peer<Member, Link>>();
  readonly #hub: LinkHub;
  readonly #socket: LinkSocket;
  readonly #queue: LinkQueue;
  #writeSince = 0;

  /**
   * @param name for people: the other side's host, or the worker's name
   * @param sibling whether the other side is a worker of this very relay
   */
  constructor(readonly name: string, readonly sibling: boolean, socket: LinkSocket, hub: LinkHub) {
    this.#hub = hub;
    this.#socket = socket;
    this.#queue = new LinkQueue(hub.pools, hub.limits.linkBytes);
  }

  /** Bytes that wait to be written. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /**
   * Sends on `count` whole SendPacket frames of `source`, `buffer[start..end)`, all for one
   * destination; at most MAX_RUN bytes.
   *
   * @param last whether the other side may not send them on
   */
  forward(
    source: Uint8Array,
    buffer: Uint8Array,
    start: number,
    end: number,
    count: number,
    last = false,
  ): void {
    if (this.closed) return this.#drop(buffer, start, end, DropReason.GoneDisconnected);
    this.#hub.flusher.mark(this);
    if (this.sibling && !last) return this.#run(source, buffer, start, end, count);
    for (let at = start; at < end;) {
      const next = at + HEADER_LENGTH + payloadLength(buffer, at);
      const target = this.#queue.reserve(KEY_LENGTH + next - at, 1);
      if (target === undefined) return this.#drop(buffer, at, end, DropReason.QueueTail);
      const to = this.#queue.reserved;
      writeHeader(target, to, FrameType.ForwardPacket, KEY_LENGTH + next - at - HEADER_LENGTH);
      target.set(source, to + HEADER_LENGTH);
      this.#hub.pools.copy(buffer, at + HEADER_LENGTH, next, target, to + RUN_PREFIX);
      at = next;
    }
  }

  #run(source: Uint8Array, buffer: Uint8Array, start: number, end: number, count: number): void {
    const target = this.#queue.reserve(RUN_PREFIX + end - start, count);
    if (target === undefined) return this.#drop(buffer, start, end, DropReason.QueueTail);
    const to = this.#queue.reserved;
    writeHeader(target, to, SiblingFrame.Run, KEY_LENGTH + end - start);
    target.set(source, to + HEADER_LENGTH);
    this.#hub.pools.copy(buffer, start, end, target, to + RUN_PREFIX);
  }

  /** Sends on a whole ForwardPacket frame as it is. */
  pass(buffer: Uint8Array, start: number, end: number): void {
    const target = this.closed ? undefined : this.#queue.reserve(end - start, 1);
    if (target === undefined) {
      const bytes = end - start - FORWARD_PREFIX;
      const disco = isDisco(buffer, start + FORWARD_PREFIX, bytes);
      this.droppedPackets += 1;
      this.#hub.counters.drop(DropReason.QueueTail, disco, bytes);
      return;
    }
    this.#hub.pools.copy(buffer, start, end, target, this.#queue.reserved);
    this.#hub.flusher.mark(this);
  }

  /** Queues a frame that is no packet. False when too much waits. */
  control(frame: Uint8Array): boolean {
    const target = this.closed ? undefined : this.#queue.reserve(frame.length, 0);
    if (target === undefined) return false;
    target.set(frame, this.#queue.reserved);
    this.#hub.flusher.mark(this);
    return true;
  }

  /** Starts writing what waits, unless a write is on its way: that one continues by itself. */
  flush(): void {
    if (!this.closed && !this.#queue.writing) void this.#write();
  }

  async #write(): Promise<void> {
    let piece: Uint8Array | undefined;
    while (!this.closed && (piece = this.#queue.beginWrite()) !== undefined) {
      let sent = false;
      try {
        for (let at = 0; at < piece.length;) {
          this.#writeSince = performance.now();
          at += await this.#socket.write(at === 0 ? piece : piece.subarray(at));
        }
        sent = true;
      } catch {
        // The other side is gone, or the sweep closed the link.
      }
      this.#writeSince = 0;
      const packets = this.#queue.endWrite();
      if (sent) this.sentPackets += packets;
      else {
        this.#lose(DropReason.WriteError, packets);
        this.close();
      }
    }
  }

  /** Called by the sweep: closes a link that takes nothing. */
  tick(now: number): void {
    if (this.#writeSince === 0 || now - this.#writeSince < this.#hub.limits.linkWriteMs) return;
    this.#hub.counters.writeTimeouts += 1;
    this.close();
  }

  /** Ends the link's writing and closes its socket. Safe to call twice. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#lose(DropReason.GoneDisconnected, this.#queue.clear());
    try {
      this.#socket.close();
    } catch {
      // Already closed by the runtime.
    }
  }

  /** Counts packets that were queued already; of what kind they were is not looked up. */
  #lose(reason: DropReason, packets: number): void {
    this.droppedPackets += packets;
    this.#hub.counters.dropped[reason * 2 + 1]! += packets;
  }

  /** Counts whole SendPacket frames that were not queued. */
  #drop(buffer: Uint8Array, start: number, end: number, reason: DropReason): void {
    for (let at = start; at < end;) {
      const length = payloadLength(buffer, at);
      const bytes = length - KEY_LENGTH;
      this.droppedPackets += 1;
      this.#hub.counters.drop(reason, isDisco(buffer, at + PACKET_PREFIX, bytes), bytes);
      at += HEADER_LENGTH + length;
    }
  }
}
