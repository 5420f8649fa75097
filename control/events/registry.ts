import type { OnlineTracker } from "./online.ts";
import type { EventStream } from "./stream.ts";

/** How many streams may be open. */
export interface StreamLimits {
  /** Of one caller; one more ends its oldest, which usually is the rest of a lost connection. */
  perCaller: number;
  total: number;
}

export const DEFAULT_STREAM_LIMITS: StreamLimits = { perCaller: 8, total: 16_384 };

/** All open streams, by who opened them. */
export class StreamRegistry {
  readonly #limits: StreamLimits;
  readonly #online: OnlineTracker;
  readonly #byCaller = new Map<string, EventStream[]>();
  #size = 0;

  constructor(limits: StreamLimits, online: OnlineTracker) {
    this.#limits = limits;
    this.#online = online;
  }

  /** How many streams are open. */
  get size(): number {
    return this.#size;
  }

  /** Whether no more streams can be opened. */
  get full(): boolean {
    return this.#size >= this.#limits.total;
  }

  /**
   * Opens a stream for a caller. With `deviceId` the device is online while it lasts; `open` is
   * called once that is stored, so that the stream's first events show it.
   */
  async open(
    caller: string,
    deviceId: string | undefined,
    open: () => EventStream,
  ): Promise<EventStream> {
    this.#size++;
    try {
      if (deviceId !== undefined) await this.#online.opened(deviceId);
    } catch (error) {
      this.#size--;
      if (deviceId !== undefined) this.#online.closed(deviceId);
      throw error;
    }
    const stream = open();
    const mine = this.#byCaller.get(caller) ?? [];
    this.#byCaller.set(caller, mine);
    mine.push(stream);
    stream.ended = () => this.#left(stream, caller, deviceId);
    if (mine.length > this.#limits.perCaller) mine[0]!.abort();
    return stream;
  }

  #left(stream: EventStream, caller: string, deviceId: string | undefined): void {
    this.#size--;
    const mine = this.#byCaller.get(caller) ?? [];
    const at = mine.indexOf(stream);
    if (at >= 0) mine.splice(at, 1);
    if (mine.length === 0) this.#byCaller.delete(caller);
    if (deviceId !== undefined) this.#online.closed(deviceId);
  }

  /** Who has streams: ids of devices and users. */
  callers(): string[] {
    return [...this.#byCaller.keys()];
  }

  /** Ends the streams of a caller that may no longer listen, after what is due to them. */
  finish(caller: string): void {
    for (const stream of [...this.#byCaller.get(caller) ?? []]) stream.finish();
  }

  /** Cuts all streams off. */
  abortAll(): void {
    for (const streams of [...this.#byCaller.values()]) {
      for (const stream of [...streams]) stream.abort();
    }
  }
}
