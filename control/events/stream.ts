import { getLogger } from "@logtape/logtape";
import { type BodySink, type BodySource, LongBody } from "../../relay/http/mod.ts";
import type { Feed } from "./feed.ts";
import type { Ticking } from "./ticker.ts";
import { type Decorate, Watch, type Watching, type WatchRequest } from "./watch.ts";

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

const HEARTBEAT = new TextEncoder().encode("\n");
const FAILURE = new TextEncoder().encode(
  `${JSON.stringify({ type: "error", value: { error: "internal server error" } })}\n\n`,
);

/**
 * The body of a watch response. It holds no queue: a page of rows is read from the database only
 * when the reader has taken what came before, so a slow reader costs one page and later gets the latest
 * rows. It never ends cleanly: agents take a broken stream calmly, and a clean end as an error.
 *
 * There may be ten thousand of them that wait, so that nothing waits with them: whatever happens calls
 * {@linkcode EventStream.changed} or one of the others, and those return.
 */
export class EventStream implements BodySource, Ticking, Watching {
  readonly feed: Feed;
  readonly decorate: Decorate;
  /** Called when the stream is over, from whichever side. */
  ended: (() => void) | undefined;
  readonly #watches: readonly Watch[];
  readonly #times: StreamTimes;
  #sink: BodySink | undefined;
  /** Rows are being read. */
  #reading = false;
  /** The reader has not taken what it was given. */
  #writing = false;
  /** When the reader has taken nothing for too long: times of `performance.now()`. */
  #stallAt: number;
  /** When something is to be done without a change: a heartbeat, or the end after a failure. */
  #dueAt = Infinity;
  #next = 0;
  #state: "open" | "finishing" | "failed" | "over" = "open";

  constructor(
    requests: readonly WatchRequest[],
    options: { feed: Feed; decorate: Decorate; times: StreamTimes },
  ) {
    this.feed = options.feed;
    this.decorate = options.decorate;
    this.#times = options.times;
    const { heartbeatMs, stallMs, failureMs } = this.#times;
    this.#stallAt = performance.now() + stallMs;
    this.#watches = requests.map((request) => new Watch(request, this));
    this.feed.ticker.add(this, Math.min(heartbeatMs, stallMs, failureMs));
    this.feed.collector.opened();
  }

  /** The stream as the body of a response; to be asked for once. */
  body(): LongBody {
    return new LongBody(this);
  }

  open(sink: BodySink): void {
    this.#sink = sink;
    if (this.#state === "over") this.#cut();
    else this.taken();
  }

  taken(): void {
    this.#writing = false;
    this.#stallAt = Infinity;
    if (this.#state === "failed") return;
    // Not all of them at once, though one change was told to all of them at once.
    this.#dueAt = performance.now() + this.#times.heartbeatMs * (1 - Math.random() / 8);
    this.#goOn();
  }

  gone(): void {
    this.#end();
  }

  /** Cuts the stream off without its final chunk. */
  abort(): void {
    if (this.#state === "over") return;
    this.#end();
    this.#cut();
  }

  /** Cuts the stream off once everything that is due has been sent. */
  finish(): void {
    if (this.#state === "open") this.#state = "finishing";
    // What it is to hear of may not have been told yet.
    for (const watch of this.#watches) watch.dirty = true;
    this.#goOn();
  }

  changed(): void {
    this.#goOn();
  }

  ready(bytes: Uint8Array): void {
    this.#reading = false;
    if (this.#state === "over") return;
    if (bytes.length > 0) this.#write(bytes);
    else this.#goOn();
  }

  failed(error: unknown): void {
    this.#reading = false;
    if (this.#state === "over") return;
    log.error("cannot read events: {error}", { error });
    this.#state = "failed";
    this.#dueAt = performance.now() + this.#times.failureMs;
    this.#write(FAILURE);
  }

  tick(now: number): void {
    if (now >= this.#stallAt) return this.abort();
    if (now < this.#dueAt) return;
    if (this.#state === "failed") this.abort();
    else if (this.#sink && !this.#reading && !this.#writing) this.#write(HEARTBEAT);
  }

  /** Sends the events of the next watch that has any, unless something is under way. */
  #goOn(): void {
    if (!this.#sink || this.#reading || this.#writing) return;
    if (this.#state === "failed" || this.#state === "over") return;
    for (let clean = 0; clean < this.#watches.length;) {
      const watch = this.#watches[this.#next]!;
      this.#next = (this.#next + 1) % this.#watches.length;
      if (!watch.dirty) {
        clean++;
        continue;
      }
      clean = 0;
      const bytes = watch.next();
      if (bytes === undefined) {
        this.#reading = true;
        return;
      }
      if (bytes.length > 0) return this.#write(bytes);
    }
    if (this.#state === "finishing") this.abort();
  }

  #write(bytes: Uint8Array): void {
    this.#writing = true;
    this.#stallAt = performance.now() + this.#times.stallMs;
    if (bytes !== HEARTBEAT) this.feed.collector.wrote();
    this.#sink!.write(bytes);
  }

  #cut(): void {
    this.#sink?.cut(new StreamEnded("the event stream was ended"));
  }

  #end(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    for (const watch of this.#watches) watch.close();
    this.feed.ticker.remove(this);
    this.feed.collector.closed();
    this.ended?.();
  }
}
