import { getLogger } from "@logtape/logtape";
import type { Store } from "../store/mod.ts";
import { Instances } from "./instances.ts";
import { CHUNK, noteStreams, setOffline } from "./presence.ts";

const log = getLogger(["nexd", "control", "events"]);

/** How long a device stays online without a stream, in milliseconds. */
export interface OnlineTimes {
  graceMs: number;
  /** The same for the devices of a control plane that is gone: their agents come back one by one. */
  startGraceMs: number;
}

export const DEFAULT_ONLINE_TIMES: OnlineTimes = { graceMs: 5_000, startGraceMs: 15_000 };

/**
 * After a start agents come back as fast as they are let in: while so many come between two looks,
 * those that have not come yet are not gone.
 */
const COMING = 10;
/** Shortest pause before a change that failed is tried again, ms. */
const RETRY_MS = 1_000;

/** Devices that are noted together, as long as nobody has begun to write them. */
interface Arrivals {
  readonly ids: Set<string>;
  readonly noted: Promise<void>;
}

/**
 * Keeps `online` of devices: true while a device has a stream at any control plane on this database,
 * false some time after its last one. Each control plane notes the devices that have streams here.
 */
export class OnlineTracker {
  readonly #store: Store;
  readonly #times: OnlineTimes;
  readonly #instances: Instances;
  readonly #streams = new Map<string, number>();
  readonly #leaving = new Map<string, ReturnType<typeof setTimeout>>();
  /** Devices that the database knows to be here. */
  readonly #noted = new Set<string>();
  /** Devices that wait for their turn to be noted. */
  #arrivals: Arrivals | undefined;
  /** Devices that came since the last look. */
  #came = 0;
  #closed = false;

  constructor(store: Store, times: OnlineTimes) {
    this.#store = store;
    this.#times = times;
    this.#instances = new Instances(store, times.startGraceMs, {
      coming: () => this.#coming(),
      gone: (id) => this.#bury(id),
      revived: () => this.#noteAgain(),
      settled: () => this.#sweep(),
    });
  }

  /** Takes over the devices that other control planes left online when they ended. */
  async start(): Promise<void> {
    await this.#instances.start();
  }

  /** A stream of the device was opened; resolves once watchers can see it online. */
  async opened(id: string): Promise<void> {
    this.#streams.set(id, (this.#streams.get(id) ?? 0) + 1);
    clearTimeout(this.#leaving.get(id));
    this.#leaving.delete(id);
    if (this.#noted.has(id)) return;
    this.#came++;
    await this.#arrive(id);
  }

  /** A stream of the device is over. */
  closed(id: string): void {
    const left = (this.#streams.get(id) ?? 1) - 1;
    if (left > 0) {
      this.#streams.set(id, left);
    } else {
      this.#streams.delete(id);
      this.#leaveLater(id, this.#times.graceMs);
    }
  }

  /** Forgets the timers. Devices stay as they are: a restart should not look like an outage. */
  close(): void {
    this.#closed = true;
    this.#instances.close();
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    this.#leaving.clear();
  }

  #leaveLater(id: string, delay: number): void {
    if (this.#closed) return;
    clearTimeout(this.#leaving.get(id));
    const leave = () => {
      this.#leaving.delete(id);
      if (this.#closed || this.#streams.has(id)) return;
      this.#leave(id).catch((error) => {
        log.error("cannot mark a device offline: {error}", { error });
        this.#leaveLater(id, Math.max(delay, RETRY_MS));
      });
    };
    this.#leaving.set(id, setTimeout(leave, delay));
  }

  async #leave(id: string): Promise<void> {
    await this.#store.write(async (write) => {
      // A stream may have come while this waited for its transaction.
      if (this.#streams.has(id)) return;
      this.#noted.delete(id);
      await write.db.deleteFrom("device_streams").where("device_id", "=", id)
        .where("instance_id", "=", this.#instances.id).execute();
      await setOffline(write, [id]);
    });
  }

  /** Notes a device with all that come before the database has time for it. */
  #arrive(id: string): Promise<void> {
    const others = this.#arrivals;
    if (others !== undefined && others.ids.size < CHUNK) {
      others.ids.add(id);
      return others.noted;
    }
    const ids = new Set([id]);
    const close = () => {
      if (this.#arrivals?.ids === ids) this.#arrivals = undefined;
    };
    const noted = this.#note(ids, close).finally(close);
    this.#arrivals = { ids, noted };
    return noted;
  }

  /**
   * Notes in one transaction that devices are here, and online. At most {@linkcode CHUNK} of them.
   *
   * @param begun is called before they are read: no more may be added from then on
   */
  async #note(ids: Iterable<string>, begun?: () => void): Promise<void> {
    try {
      await this.#store.write(async (write) => {
        begun?.();
        const here = [...ids].filter((id) => this.#streams.has(id));
        for (const id of await noteStreams(write, here, this.#instances.id)) this.#noted.add(id);
      });
    } catch (error) {
      for (const id of ids) this.#noted.delete(id);
      throw error;
    }
  }

  async #noteAgain(): Promise<void> {
    this.#noted.clear();
    const ids = [...this.#streams.keys()];
    for (let at = 0; at < ids.length; at += CHUNK) await this.#note(ids.slice(at, at + CHUNK));
  }

  /** Whether many have come since this was asked last. */
  #coming(): boolean {
    const many = this.#came >= COMING;
    this.#came = 0;
    return many;
  }

  /** Takes a control plane that is gone out of the database, with the devices that only it had. */
  async #bury(instance: string): Promise<void> {
    for (let more = true; more && !this.#closed;) {
      more = await this.#store.write(async (write) => {
        if (!await this.#instances.isStillGone(write, instance)) return false;
        const rows = await write.db.selectFrom("device_streams").select("device_id")
          .where("instance_id", "=", instance).limit(CHUNK).execute();
        const ids = rows.map((row) => row.device_id);
        if (ids.length > 0) {
          await write.db.deleteFrom("device_streams").where("instance_id", "=", instance)
            .where("device_id", "in", ids).execute();
          await setOffline(write, ids);
          return true;
        }
        await write.db.deleteFrom("instances").where("id", "=", instance).execute();
        return false;
      });
    }
  }

  /** Devices that are online though nobody has a stream of theirs: of a restored backup, for one. */
  async #sweep(): Promise<void> {
    const rows = await this.#store.db.selectFrom("devices").select("id").where("online", "=", 1)
      .where("id", "not in", (eb) => eb.selectFrom("device_streams").select("device_id")).execute();
    for (let at = 0; at < rows.length && !this.#closed; at += CHUNK) {
      const ids = rows.slice(at, at + CHUNK).map(({ id }) => id);
      await this.#store.write((write) => setOffline(write, ids));
    }
  }
}
