import { getLogger } from "@logtape/logtape";
import { findDevice, type Store } from "../store/mod.ts";

const log = getLogger(["nexd", "control", "events"]);

/** How long a device stays online without a stream, in milliseconds. */
export interface OnlineTimes {
  graceMs: number;
  /** The same for devices that were online when this process started: agents come back one by one. */
  startGraceMs: number;
}

export const DEFAULT_ONLINE_TIMES: OnlineTimes = { graceMs: 5_000, startGraceMs: 15_000 };

/** Keeps `online` of devices: true while a device has a stream, false some time after its last one. */
export class OnlineTracker {
  readonly #store: Store;
  readonly #times: OnlineTimes;
  readonly #streams = new Map<string, number>();
  readonly #leaving = new Map<string, ReturnType<typeof setTimeout>>();
  #closed = false;

  constructor(store: Store, times: OnlineTimes) {
    this.#store = store;
    this.#times = times;
  }

  /** Takes over the devices that an earlier process left online. */
  async start(): Promise<void> {
    const rows = await this.#store.db.selectFrom("devices").select("id").where("online", "=", 1)
      .execute();
    for (const { id } of rows) this.#leaveLater(id, this.#times.startGraceMs);
  }

  /** A stream of the device was opened; resolves once watchers can see it online. */
  async opened(id: string): Promise<void> {
    this.#streams.set(id, (this.#streams.get(id) ?? 0) + 1);
    clearTimeout(this.#leaving.get(id));
    this.#leaving.delete(id);
    await this.#set(id, true);
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
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    this.#leaving.clear();
  }

  #leaveLater(id: string, delay: number): void {
    if (this.#closed) return;
    clearTimeout(this.#leaving.get(id));
    const leave = () => {
      this.#leaving.delete(id);
      if (this.#closed || this.#streams.has(id)) return;
      this.#set(id, false).catch((error) => {
        log.error("cannot mark a device offline: {error}", { error });
      });
    };
    this.#leaving.set(id, setTimeout(leave, delay));
  }

  async #set(id: string, online: boolean): Promise<void> {
    await this.#store.write(async (write) => {
      const device = await findDevice(write.db, id);
      if (!device || (device.online !== 0) === online) return;
      // A stream may have come or gone while this waited for its transaction.
      if (this.#streams.has(id) !== online) return;
      await write.db.updateTable("devices").set({
        online: online ? 1 : 0,
        online_at: new Date().toISOString(),
        revision: await write.revision("devices", device.vpc_id),
      }).where("id", "=", id).execute();
    });
  }
}
