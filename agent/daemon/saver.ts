/**
 * Writes what a restart needs, a moment after it changed: many changes are one write, and trouble
 * with the disk never stops the tunnel.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { reasonOf } from "../errors.ts";
import { type CachedVpc, type StateStore, writeCache } from "../onboarding/mod.ts";

const log = getLogger(["nexd", "agent"]);

/** How long after the first change, and after a write that failed, ms. */
const DELAY = 100, RETRY = 5_000;

/** The delayed writer of the state directory. */
export class Saver {
  readonly #store: StateStore;
  readonly #dir: string;
  readonly #memory: () => CachedVpc | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #change: Parameters<StateStore["update"]>[0] = {};
  #trouble: string | undefined;
  #closed = false;

  /** @param memory what is known of the VPC at the time of writing */
  constructor(store: StateStore, dir: string, memory: () => CachedVpc | undefined) {
    this.#store = store;
    this.#dir = dir;
    this.#memory = memory;
  }

  /** Why nothing can be saved, as long as it lasts: a line for status. */
  notes(): string[] {
    return this.#trouble === undefined ? [] : [
      `state: cannot be saved in ${this.#dir}: ${this.#trouble}; make room there: until then ` +
      "a restart begins with older knowledge",
    ];
  }

  /** Something of the state itself has changed. */
  update(change: Parameters<StateStore["update"]>[0]): void {
    Object.assign(this.#change, change);
    this.soon();
  }

  /** Something has changed. */
  soon(): void {
    if (!this.#closed) this.#timer ??= setTimeout(() => void this.flush(), DELAY);
  }

  /** Writes now, and again later where that fails; never throws. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const change = this.#change;
    this.#change = {};
    try {
      await this.#store.update(change);
      // What a failed write has left out is not told by comparing.
      if (this.#trouble !== undefined) await this.#store.save();
      const memory = this.#memory();
      if (memory !== undefined) await writeCache(this.#dir, memory);
      if (this.#trouble !== undefined) log.info("saved again");
      this.#trouble = undefined;
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== this.#trouble) log.warn("cannot save: {reason}", { reason });
      this.#trouble = reason;
      if (!this.#closed) this.#timer ??= setTimeout(() => void this.flush(), RETRY);
    }
  }

  /** Writes for the last time. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
  }
}
