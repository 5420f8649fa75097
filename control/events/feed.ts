import type { WatchKind } from "../api/types.ts";
import type { Store } from "../store/mod.ts";
import { type Page, readPage, REVISIONS, type Topic } from "./source.ts";

/** Different metadata filters remembered for one VPC; stock agents use one. */
const MAX_FILTERS = 16;

interface Channel {
  /** Counts changes, so that what was read before one is not used after it. */
  version: number;
  wakes: Set<() => void>;
  latest: Map<string, { after: number; version: number; page: Promise<Page> }>;
}

/**
 * Tells watches of changes in their VPC and reads the changed rows once for all of them: after a
 * change every stream of a VPC asks for the rows after the same revision.
 */
export class Feed {
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
      { version: 0, wakes: new Set(), latest: new Map() };
    this.#channels.set(name, channel);
    channel.wakes.add(wake);
    return () => {
      channel.wakes.delete(wake);
      if (channel.wakes.size === 0) this.#channels.delete(name);
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
    this.#channels.clear();
  }
}

function changed(channel: Channel): void {
  channel.version++;
  for (const wake of channel.wakes) wake();
}

function channelName(topic: Topic): string {
  return `${REVISIONS[topic.kind]} ${topic.vpcId}`;
}
