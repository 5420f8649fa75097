import type { Feed } from "./feed.ts";
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

const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

/** One watch of a stream: which rows were sent, and the text of the next ones. */
export class Watch {
  /** Whether there may be something to send. */
  dirty = true;
  readonly #topic: Topic;
  readonly #feed: Feed;
  readonly #decorate: Decorate;
  #after: number;
  /** While the backlog is sent: the ids in it, and the revision at its start. */
  #backlog: { sent: Set<string>; start: number | undefined } | undefined;

  constructor(request: WatchRequest, feed: Feed, decorate: Decorate) {
    this.#topic = request.topic;
    this.#after = request.after;
    this.#feed = feed;
    this.#decorate = decorate;
    this.#backlog = request.atTail ? undefined : { sent: new Set(), start: undefined };
  }

  /**
   * The events that are due, at most one page of them. Stays dirty while there are more. Before
   * `tail`, deletes of rows that this response has not sent are left out.
   */
  async next(): Promise<Uint8Array> {
    this.dirty = false;
    const page = await this.#read();
    this.dirty ||= page.more;
    const bytes = this.#backlog ? this.#begin(page, this.#backlog) : this.#goOn(page);
    this.#after = page.entries.at(-1)?.revision ?? this.#after;
    // Also past rows that did not fit: all streams of a VPC then ask for the same next page.
    if (!page.more) this.#after = Math.max(this.#after, page.upTo);
    return bytes;
  }

  #begin(page: Page, { sent }: { sent: Set<string> }): Uint8Array {
    let text = "";
    for (const entry of page.entries) {
      if (entry.deleted && !sent.has(entry.id)) continue;
      sent.add(entry.id);
      text += this.#text(entry);
    }
    if (!page.more) {
      this.#backlog = undefined;
      text += this.#event("tail");
    }
    return encoder.encode(text);
  }

  /** Mostly the same bytes for every watch of the VPC. */
  #goOn(page: Page): Uint8Array {
    if (page.entries.length === 0) return NOTHING;
    const shared = page.entries.every((entry) =>
      this.#decorate(this.#topic, entry) === entry.value
    );
    if (shared && page.bytes) return page.bytes;
    const bytes = encoder.encode(page.entries.map((entry) => this.#text(entry)).join(""));
    if (shared) page.bytes = bytes;
    return bytes;
  }

  async #read(): Promise<Page> {
    if (!this.#backlog) return await this.#feed.tail(this.#topic, this.#after);
    this.#backlog.start ??= await this.#feed.revision(this.#topic.kind);
    return await this.#feed.backlog(this.#topic, this.#after, this.#backlog.start);
  }

  #text(entry: Entry): string {
    const type = entry.deleted ? "delete" : "change";
    const value = this.#decorate(this.#topic, entry);
    if (value !== entry.value) return this.#event(type, value);
    return entry.text ??= this.#event(type, value);
  }

  #event(type: string, value?: object): string {
    // An empty line after each event, as stock servers write it.
    return `${JSON.stringify({ kind: this.#topic.kind, type, value })}\n\n`;
  }
}
