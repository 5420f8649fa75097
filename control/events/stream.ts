import { getLogger } from "@logtape/logtape";
import type { Feed } from "./feed.ts";
import { type Decorate, Watch, type WatchRequest } from "./watch.ts";

const log = getLogger(["nexd", "control", "events"]);

/** How a stream behaves, in milliseconds. */
export interface StreamTimes {
  /** A newline is sent when nothing else was for this long. */
  heartbeatMs: number;
  /** A reader that takes nothing for this long is cut off. */
  stallMs: number;
  /** How long a failed stream stays open before it is cut off, so that it is not repeated at once. */
  failureMs: number;
}

export const DEFAULT_STREAM_TIMES: StreamTimes = {
  heartbeatMs: 15_000,
  stallMs: 60_000,
  failureMs: 3_000,
};

/** What the body of a stream fails with when this side cuts it off: nothing is wrong then. */
export class StreamEnded extends Error {
  override name = "StreamEnded";
}

const encoder = new TextEncoder();
const NOTHING = new Uint8Array(0);
const HEARTBEAT = encoder.encode("\n");

/**
 * The body of a watch response. It holds no queue: a page of rows is read from the database only
 * when the reader wants bytes, so a slow reader costs one page and later gets the latest rows.
 * It never ends cleanly: agents take a broken stream calmly, and a clean end as an error.
 */
export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  /** Resolves when the stream is over, from whichever side. */
  readonly closed: Promise<void>;
  readonly #watches: Watch[];
  readonly #times: StreamTimes;
  readonly #unsubscribe: (() => void)[];
  readonly #resolveClosed: () => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #wake: () => void = () => {};
  /** When the reader has taken nothing for too long: times of `performance.now()`. */
  #stallAt = Infinity;
  /** When whoever sleeps goes on without a change. */
  #sleepUntil = Infinity;
  #next = 0;
  #state: "open" | "finishing" | "over" = "open";

  constructor(
    requests: readonly WatchRequest[],
    options: { feed: Feed; decorate: Decorate; times: StreamTimes },
  ) {
    const closed = Promise.withResolvers<void>();
    this.closed = closed.promise;
    this.#resolveClosed = closed.resolve;
    this.#times = options.times;
    this.#stallAt = performance.now() + this.#times.stallMs;
    this.#watches = requests.map((request) => new Watch(request, options.feed, options.decorate));
    this.#unsubscribe = requests.map((request, i) =>
      options.feed.subscribe(request.topic, () => {
        this.#watches[i]!.dirty = true;
        this.#wake();
      })
    );
    const { heartbeatMs, stallMs, failureMs } = this.#times;
    const shortest = Math.min(heartbeatMs, stallMs, failureMs);
    this.#unsubscribe.push(options.feed.ticker.add((now) => this.#tick(now), shortest));
    this.body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: (controller) => this.#pull(controller),
      cancel: () => this.#over(),
    }, { highWaterMark: 0 });
  }

  /** Cuts the stream off without its final chunk. */
  abort(): void {
    if (this.#state === "over") return;
    this.#over();
    this.#controller?.error(new StreamEnded("the event stream was ended"));
  }

  /** Cuts the stream off once everything that is due has been sent. */
  finish(): void {
    if (this.#state === "open") this.#state = "finishing";
    // What it is to hear of may not have been told yet.
    for (const watch of this.#watches) watch.dirty = true;
    this.#wake();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#stallAt = Infinity;
    // Not all of them at once, though one change was told to all of them at once.
    const beat = performance.now() + this.#times.heartbeatMs * (1 - Math.random() / 8);
    while (this.#state !== "over") {
      const bytes = await this.#due();
      if (this.#isOver()) return;
      if (bytes === undefined) return await this.#fail(controller);
      if (bytes.length > 0 || performance.now() >= beat) {
        controller.enqueue(bytes.length > 0 ? bytes : HEARTBEAT);
        this.#stallAt = performance.now() + this.#times.stallMs;
        return;
      }
      if (this.#state === "finishing") return this.abort();
      await this.#sleep(beat);
    }
  }

  /** Events of the next watch that has any; undefined when they could not be read. */
  async #due(): Promise<Uint8Array | undefined> {
    try {
      for (let i = 0; i < this.#watches.length; i++) {
        const watch = this.#watches[this.#next]!;
        this.#next = (this.#next + 1) % this.#watches.length;
        const bytes = watch.dirty ? await watch.next() : NOTHING;
        if (bytes.length > 0) return bytes;
      }
      return this.#watches.some((watch) => watch.dirty) ? await this.#due() : NOTHING;
    } catch (error) {
      if (!this.#isOver()) log.error("cannot read events: {error}", { error });
      return undefined;
    }
  }

  async #fail(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const event = { type: "error", value: { error: "internal server error" } };
    controller.enqueue(encoder.encode(`${JSON.stringify(event)}\n\n`));
    const until = performance.now() + this.#times.failureMs;
    while (!this.#isOver() && performance.now() < until) await this.#sleep(until);
    this.abort();
  }

  /** Resolves at a time of `performance.now()` or a little later, or when something changed. */
  #sleep(until: number): Promise<void> {
    return new Promise((resolve) => {
      this.#sleepUntil = until;
      this.#wake = resolve;
    });
  }

  #tick(now: number): void {
    if (now >= this.#stallAt) this.abort();
    else if (now >= this.#sleepUntil) this.#wake();
  }

  #isOver(): boolean {
    return this.#state === "over";
  }

  #over(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#wake();
    this.#resolveClosed();
  }
}
