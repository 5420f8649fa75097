import type { WatchKind } from "../api/types.ts";
import type { Store } from "../store/mod.ts";
import { type Page, readPage, REVISIONS, type Topic } from "./source.ts";
import { Ticker } from "./ticker.ts";

/** Different metadata filters remembered for one VPC; stock agents use one. */
const MAX_FILTERS = 16;
/**
 * A change wakes its watches at once; those that follow wait until each of the watches may have taken
 * that long, ms, and go together. Fewer watches than a handful of ms are not held up.
 */
const WATCH_MS = 0.05, UNNOTICED_MS = 10, LONGEST_MS = 500;

interface Channel {
  /** Counts changes, so that what was read before one is not used after it. */
  version: number;
  wakes: Set<() => void>;
  /** Before this time of `performance.now()` nobody is woken again. */
  quietUntil: number;
  later: ReturnType<typeof setTimeout> | undefined;
  latest: Map<string, { after: number; version: number; page: Promise<Page> }>;
}

/**
 * Tells watches of changes in their VPC and reads the changed rows once for all of them: after a
 * change every stream of a VPC asks for the rows after the same revision.
 */
export class Feed {
  /** For what streams wait for. */
  readonly ticker: Ticker = new Ticker();
  readonly #store: Store;
  readonly #channels = new Map<string, Channel>();
  readonly #stop: () => void;

  constructor(store: Store) {
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

  /** Calls `wake` after each change of this kind in the VPC; returns how to stop that. */
  subscribe(topic: Topic, wake: () => void): () => void {
    const name = channelName(topic);
    const channel = this.#channels.get(name) ??
      { version: 0, wakes: new Set(), latest: new Map(), quietUntil: 0, later: undefined };
    this.#channels.set(name, channel);
    channel.wakes.add(wake);
    return () => {
      channel.wakes.delete(wake);
      if (channel.wakes.size > 0) return;
      clearTimeout(channel.later);
      if (this.#channels.get(name) === channel) this.#channels.delete(name);
    };
  }

  /** Rows after a revision, deletes included; shared between streams that ask for the same. */
  tail(topic: Topic, after: number): Promise<Page> {
    const read = () => readPage(this.#store.db, topic, { after, deletesAfter: after });
    const channel = this.#channels.get(channelName(topic));
    if (!channel) return read();
    const filter = JSON.stringify(topic.filter ?? {});
    const known = channel.latest.get(filter);
    if (known?.after === after && known.version === channel.version) return known.page;
    const page = read();
    if (channel.latest.size >= MAX_FILTERS && !known) channel.latest.clear();
    const latest = { after, version: channel.version, page };
    channel.latest.set(filter, latest);
    page.catch(() => {
      if (channel.latest.get(filter) === latest) channel.latest.delete(filter);
    });
    return page;
  }

  /** A page of the rows that a new watch starts with; see {@linkcode readPage}. */
  backlog(topic: Topic, after: number, deletesAfter: number): Promise<Page> {
    return readPage(this.#store.db, topic, { after, deletesAfter });
  }

  /** The revision that a kind is at. */
  revision(kind: WatchKind): Promise<number> {
    return this.#store.currentRevision(REVISIONS[kind]);
  }

  /** Stops listening to the store. */
  close(): void {
    this.#stop();
    this.ticker.close();
    for (const { later } of this.#channels.values()) clearTimeout(later);
    this.#channels.clear();
  }
}

function changed(channel: Channel): void {
  channel.version++;
  if (channel.later !== undefined) return;
  const wait = channel.quietUntil - performance.now();
  if (wait <= 0) return wakeAll(channel);
  channel.later = setTimeout(() => {
    channel.later = undefined;
    wakeAll(channel);
  }, wait);
}

function wakeAll(channel: Channel): void {
  for (const wake of channel.wakes) wake();
  const busy = Math.min(channel.wakes.size * WATCH_MS, LONGEST_MS);
  channel.quietUntil = busy < UNNOTICED_MS ? 0 : performance.now() + busy;
}

function channelName(topic: Topic): string {
  return `${REVISIONS[topic.kind]} ${topic.vpcId}`;
}
