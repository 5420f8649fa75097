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

/** How long after the first change, ms. */
const DELAY = 100;

/** The delayed writer of the state directory. */
export class Saver {
  readonly #store: StateStore;
  readonly #dir: string;
  readonly #memory: () => CachedVpc | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #loopback: Record<string, string> | undefined;

  /** @param memory what is known of the VPC at the time of writing */
  constructor(store: StateStore, dir: string, memory: () => CachedVpc | undefined) {
    this.#store = store;
    this.#dir = dir;
    this.#memory = memory;
  }

  /** The proxy's addresses have changed. */
  assigned(loopback: Record<string, string>): void {
    this.#loopback = loopback;
    this.soon();
  }

  /** Something has changed. */
  soon(): void {
    this.#timer ??= setTimeout(() => void this.flush(), DELAY);
  }

  /** Writes now; never throws. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      if (this.#loopback !== undefined) await this.#store.update({ loopback: this.#loopback });
      const memory = this.#memory();
      if (memory !== undefined) await writeCache(this.#dir, memory);
    } catch (error) {
      log.warn("cannot save: {reason}", { reason: reasonOf(error) });
    }
  }
}
