import type { Feed, Followed, Watcher } from "./feed.ts";
import type { Entry, Page, Topic } from "./source.ts";

/** A watch as a client asked for it, checked. */
export interface WatchRequest {
  topic: Topic;
  /** Only rows with a greater revision. */
  after: number;
  /** The client holds the rows up to `after`: no `tail`, and every delete matters to it. */
  atTail: boolean;
}

/**
 * Writes a row for one caller: adds what only this caller may see. Where that is nothing it has to be
 * the entry's own value, which is then written once for all callers.
 */
export type Decorate = (topic: Topic, entry: Entry) => object;

/** The stream that a watch is of. */
export interface Watching {
  readonly feed: Feed;
  readonly decorate: Decorate;
  /** A watch may have something to send. */
  changed(): void;
  /** What was waited for: the events of a watch, which may be none. */
  ready(bytes: Uint8Array): void;
  /** It could not be read. */
  failed(error: unknown): void;
}

const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

/**
 * One watch of a stream: which rows were sent, and the text of the next ones. Between two changes it
 * is this object and nothing else: no promise, no function.
 */
export class Watch implements Watcher {
  /** Whether there may be something to send. */
  dirty = true;
  readonly #stream: Watching;
  readonly #followed: Followed;
  #after: number;
  /** While the backlog is sent: the ids in it, and the revision at its start. */
  #backlog: { sent: Set<string>; start: number | undefined } | undefined;

  constructor(request: WatchRequest, stream: Watching) {
    this.#stream = stream;
    this.#after = request.after;
    this.#backlog = request.atTail ? undefined : { sent: new Set(), start: undefined };
    this.#followed = stream.feed.subscribe(request.topic, this);
  }

  /** Hears of no more changes. */
  close(): void {
    this.#stream.feed.unsubscribe(this.#followed, this);
  }

  /**
   * The events that are due, at most one page of them, and maybe none. Undefined: they are being read,
   * and the stream is told what came. Stays dirty while there are more. Before `tail`, deletes of rows
   * that this response has not sent are left out.
   */
  next(): Uint8Array | undefined {
    this.dirty = false;
    if (this.#backlog) {
      this.#begin(this.#backlog).then(
        (bytes) => this.#stream.ready(bytes),
        (error) => this.#stream.failed(error),
      );
      return undefined;
    }
    const page = this.#stream.feed.tail(this.#followed, this.#after, this);
    return page && this.#goOn(page);
  }

  changed(): void {
    this.dirty = true;
    this.#stream.changed();
  }

  came(page: Page): void {
    this.#stream.ready(this.#goOn(page));
  }

  failed(error: unknown): void {
    this.#stream.failed(error);
  }

  async #begin(backlog: { sent: Set<string>; start: number | undefined }): Promise<Uint8Array> {
    const { feed } = this.#stream;
    const { topic } = this.#followed;
    backlog.start ??= await feed.revision(topic);
    const page = await feed.backlog(topic, this.#after, backlog.start);
    let text = "";
    for (const entry of page.entries) {
      if (entry.deleted && !backlog.sent.has(entry.id)) continue;
      backlog.sent.add(entry.id);
      text += this.#text(entry);
    }
    if (!page.more) {
      this.#backlog = undefined;
      text += this.#event("tail");
    }
    this.#read(page);
    return encoder.encode(text);
  }

  /** Mostly the same bytes for every watch of the VPC. */
  #goOn(page: Page): Uint8Array {
    this.#read(page);
    if (page.entries.length === 0) return NOTHING;
    const { decorate } = this.#stream;
    const { topic } = this.#followed;
    const shared = page.entries.every((entry) => decorate(topic, entry) === entry.value);
    if (shared && page.bytes) return page.bytes;
    const bytes = encoder.encode(page.entries.map((entry) => this.#text(entry)).join(""));
    if (shared) page.bytes = bytes;
    return bytes;
  }

  #read(page: Page): void {
    this.dirty ||= page.more;
    this.#after = page.entries.at(-1)?.revision ?? this.#after;
    // Also past rows that did not fit: all streams of a VPC then ask for the same next page.
    if (!page.more) this.#after = Math.max(this.#after, page.upTo);
  }

  #text(entry: Entry): string {
    const type = entry.deleted ? "delete" : "change";
    const value = this.#stream.decorate(this.#followed.topic, entry);
    if (value !== entry.value) return this.#event(type, value);
    return entry.text ??= this.#event(type, value);
  }

  #event(type: string, value?: object): string {
    // An empty line after each event, as stock servers write it.
    return `${JSON.stringify({ kind: this.#followed.topic.kind, type, value })}\n\n`;
  }
}
