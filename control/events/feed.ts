import type { Store } from "../store/mod.ts";
import { Collector } from "./collector.ts";
import {
  hasRows,
  noticePage,
  type Page,
  readPage,
  REVISIONS,
  type RowKind,
  type Topic,
} from "./source.ts";
import { Ticker } from "./ticker.ts";

/** Topics of one VPC whose last page is kept; stock agents have one of each kind. */
const MAX_KEPT = 16;
/** Watches that are given a page at a time; then it is somebody else's turn. */
const SLICE = 500;
/**
 * A change wakes its watches at once; those that follow wait until each of the watches may have taken
 * that long, ms, and go together. Fewer watches than a handful of ms are not held up.
 */
const WATCH_MS = 0.05, UNNOTICED_MS = 10, LONGEST_MS = 500;
/** Who is told that there is something to read reads all of it: no more often than that, ms. */
const NOTICE_MS = 1_000;

/** Who follows a topic. Nothing of it may throw. */
export interface Watcher {
  /** There may be something new. */
  changed(): void;
  /** The page that was asked for. */
  came(page: Page): void;
  /** It could not be read. */
  failed(error: unknown): void;
}

/** Watches of one kind in one VPC. */
interface Channel {
  name: string;
  /** Least time between two times that everybody is woken, ms. */
  leastMs: number;
  /** Counts changes, so that what was read before one is not used after it. */
  version: number;
  watches: number;
  topics: Map<string, Followed>;
  /** Before this time of `performance.now()` nobody is woken again. */
  quietUntil: number;
  /** When the change came that nobody was given yet (`performance.now()`). */
  changedAt: number | undefined;
  later: ReturnType<typeof setTimeout> | undefined;
}

/** Rows after a revision; `waiting` for them until there is a page. */
interface Reading {
  after: number;
  version: number;
  page: Page | undefined;
  waiting: Watcher[];
}

/** A topic and all who follow it: one object for all of them, as there may be many thousands. */
export interface Followed {
  readonly topic: Topic;
  readonly channel: Channel;
  readonly watchers: Set<Watcher>;
  /** What was read last. */
  latest: Reading | undefined;
}

/**
 * Tells watches of changes in their VPC and reads the changed rows once for all of them: after a
 * change every stream of a VPC asks for the rows after the same revision.
 */
export class Feed {
  /** For what streams wait for. */
  readonly ticker: Ticker = new Ticker();
  /** For what streams leave behind. */
  readonly collector: Collector = new Collector();
  readonly #store: Store;
  readonly #channels = new Map<string, Channel>();
  readonly #stop: () => void;
  readonly #passedOn: ((ms: number) => void) | undefined;

  /** @param passedOn hears how long a change took from here to who watches it, ms */
  constructor(store: Store, passedOn?: (ms: number) => void) {
    this.#passedOn = passedOn;
    this.#store = store;
    this.#stop = store.onChange((heard) => {
      if (heard === "everything") {
        for (const channel of this.#channels.values()) changed(channel);
        return;
      }
      const channel = this.#channels.get(`${heard.kind} ${heard.vpcId}`);
      if (channel) changed(channel);
    });
  }

  /** Tells a watcher of each change of the topic's kind in its VPC, until it is unsubscribed. */
  subscribe(topic: Topic, watcher: Watcher): Followed {
    const name = channelName(topic);
    const leastMs = hasRows(topic) ? 0 : NOTICE_MS;
    const channel = this.#channels.get(name) ??
      {
        ...{ name, leastMs, version: 0, watches: 0, topics: new Map(), quietUntil: 0 },
        ...{ later: undefined, changedAt: undefined },
      };
    this.#channels.set(name, channel);
    const filter = filterName(topic);
    const followed = channel.topics.get(filter) ??
      { topic, channel, watchers: new Set(), latest: undefined };
    channel.topics.set(filter, followed);
    followed.watchers.add(watcher);
    channel.watches++;
    return followed;
  }

  unsubscribe({ topic, channel, watchers }: Followed, watcher: Watcher): void {
    if (!watchers.delete(watcher)) return;
    channel.watches--;
    if (watchers.size > 0) return;
    channel.topics.delete(filterName(topic));
    if (channel.topics.size > 0) return;
    clearTimeout(channel.later);
    if (this.#channels.get(channel.name) === channel) this.#channels.delete(channel.name);
  }

  /**
   * Rows after a revision, deletes included; shared between streams that ask for the same. While they
   * are being read it is undefined, and the watcher is told what came.
   */
  tail(followed: Followed, after: number, watcher: Watcher): Page | undefined {
    const { topic, latest, channel: { version } } = followed;
    if (!hasRows(topic)) return noticePage(topic, version, after);
    if (latest?.after === after && latest.version === version) {
      if (latest.page === undefined) latest.waiting.push(watcher);
      return latest.page;
    }
    const reading: Reading = { after, version, page: undefined, waiting: [watcher] };
    followed.latest = reading;
    void this.#read(followed, topic, reading);
    return undefined;
  }

  async #read(followed: Followed, topic: Topic<RowKind>, reading: Reading): Promise<void> {
    const { channel } = followed;
    const { after, waiting, version } = reading;
    let tell: (watcher: Watcher) => void;
    try {
      const page = await readPage(this.#store.db, topic, { after, deletesAfter: after });
      reading.page = page;
      reading.waiting = [];
      tell = (watcher) => watcher.came(page);
    } catch (error) {
      if (followed.latest === reading) followed.latest = undefined;
      tell = (watcher) => watcher.failed(error);
    }
    for (const [i, watcher] of waiting.entries()) {
      if (i > 0 && i % SLICE === 0) await new Promise((resolve) => setImmediate(resolve));
      tell(watcher);
    }
    const { changedAt } = channel;
    if (reading.page !== undefined && changedAt !== undefined && channel.version === version) {
      channel.changedAt = undefined;
      this.#passedOn?.(performance.now() - changedAt);
    }
    // Where nobody else will ask for it, or everybody asks for something else.
    const alone = followed.watchers.size < 2 || channel.topics.size > MAX_KEPT;
    if (alone && followed.latest === reading) followed.latest = undefined;
  }

  /** A page of the rows that a new watch starts with; see {@linkcode readPage}. */
  async backlog(topic: Topic, after: number, deletesAfter: number): Promise<Page> {
    if (!hasRows(topic)) {
      // The tail says that one may read; no change is older than that.
      const changes = this.#channels.get(channelName(topic))?.version ?? 0;
      return noticePage(topic, changes, changes);
    }
    return await readPage(this.#store.db, topic, { after, deletesAfter });
  }

  /** The revision that a topic's kind is at. */
  async revision({ kind }: Topic): Promise<number> {
    return kind === "paths" ? 0 : await this.#store.currentRevision(REVISIONS[kind]);
  }

  /** Stops listening to the store. */
  close(): void {
    this.#stop();
    this.ticker.close();
    this.collector.close();
    for (const { later } of this.#channels.values()) clearTimeout(later);
    this.#channels.clear();
  }
}

function changed(channel: Channel): void {
  channel.version++;
  channel.changedAt ??= performance.now();
  if (channel.later !== undefined) return;
  const wait = channel.quietUntil - performance.now();
  if (wait <= 0) return wakeAll(channel);
  channel.later = setTimeout(() => {
    channel.later = undefined;
    wakeAll(channel);
  }, wait);
}

function wakeAll(channel: Channel): void {
  for (const { watchers } of channel.topics.values()) {
    for (const watcher of watchers) watcher.changed();
  }
  const busy = Math.min(channel.watches * WATCH_MS, LONGEST_MS);
  const quiet = Math.max(busy < UNNOTICED_MS ? 0 : busy, channel.leastMs);
  channel.quietUntil = quiet === 0 ? 0 : performance.now() + quiet;
}

/** As the store names changes. */
function channelName({ kind, vpcId }: Topic): string {
  return `${kind === "paths" ? kind : REVISIONS[kind]} ${vpcId}`;
}

function filterName(topic: Topic): string {
  return JSON.stringify(topic.filter ?? {});
}
