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

/** Writes a row for one caller: adds what only this caller may see. */
export type Decorate = (topic: Topic, entry: Entry) => object;

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
   * The events that are due, at most one page of them, or `""`. Stays dirty while there are more.
   * Before `tail`, deletes of rows that this response has not sent are left out.
   */
  async next(): Promise<string> {
    this.dirty = false;
    const page = await this.#read();
    this.dirty ||= page.more;
    let text = "";
    for (const entry of page.entries) {
      this.#after = entry.revision;
      if (this.#backlog) {
        if (entry.deleted && !this.#backlog.sent.has(entry.id)) continue;
        this.#backlog.sent.add(entry.id);
      }
      text += this.#event(entry.deleted ? "delete" : "change", this.#decorate(this.#topic, entry));
    }
    if (page.more) return text;
    // Also past rows that did not fit: all streams of a VPC then ask for the same next page.
    this.#after = Math.max(this.#after, page.upTo);
    if (this.#backlog) {
      this.#backlog = undefined;
      text += this.#event("tail");
    }
    return text;
  }

  async #read(): Promise<Page> {
    if (!this.#backlog) return await this.#feed.tail(this.#topic, this.#after);
    this.#backlog.start ??= await this.#feed.revision(this.#topic.kind);
    return await this.#feed.backlog(this.#topic, this.#after, this.#backlog.start);
  }

  #event(type: string, value?: object): string {
    // An empty line after each event, as stock servers write it.
    return `${JSON.stringify({ kind: this.#topic.kind, type, value })}\n\n`;
  }
}
