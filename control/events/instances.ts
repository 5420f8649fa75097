import { getLogger } from "@logtape/logtape";
import type { Store, Write } from "../store/mod.ts";

const log = getLogger(["nexd", "control", "events"]);

/** Looks that find another control plane's beat unchanged before it counts as gone. */
const LOOKS = 5;
/** Looks after which nobody is waited for any longer. */
const MAX_LOOKS = 40;

/** What happens to those that live and those that are gone. */
export interface InstanceEvents {
  /** Asked once a look: whether devices are coming from those that are gone, who are left alone meanwhile. */
  coming(): boolean;
  /** Another control plane is gone, or has been since before this one started; until it resolves it is looked at again. */
  gone(id: string): Promise<void>;
  /** This one was taken for gone by another: what it had told the database is to be told again. */
  revived(): Promise<void>;
  /** The first time that all who were there at the start have either been seen alive or are gone. */
  settled(): Promise<void>;
}

/**
 * Knows which control planes on this database live. Each counts up a number in a row of its own; one
 * whose number stays the same, however often another looks, is gone. No clock is involved, and looks
 * are counted instead of time, so that a pause of whoever looks makes nobody seem gone.
 *
 * Where there can be only one, whoever else has a row is gone already, and nothing is counted up.
 */
export class Instances {
  /** Names this control plane in the database. */
  readonly id: string = crypto.randomUUID();
  readonly #store: Store;
  readonly #lookMs: number;
  readonly #events: InstanceEvents;
  readonly #others = new Map<string, { beat: number; unchanged: number }>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looks = 0;
  #settled = false;
  #closed = false;

  /** @param goneMs after which time one that is gone is noticed */
  constructor(store: Store, goneMs: number, events: InstanceEvents) {
    this.#store = store;
    this.#lookMs = goneMs / LOOKS;
    this.#events = events;
  }

  async start(): Promise<void> {
    await this.#store.write((write) => this.#enter(write));
    this.#lookLater();
  }

  /** The row stays: for others, and for the next start, this control plane is gone after the usual time. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Whether another is as it was when it was found to be gone; to be asked in the transaction that buries it. */
  async isStillGone(write: Write, id: string): Promise<boolean> {
    const row = await write.db.selectFrom("instances").select("beat").where("id", "=", id)
      .executeTakeFirst();
    return row === undefined || row.beat === this.#others.get(id)?.beat;
  }

  async #enter(write: Write): Promise<void> {
    await write.db.insertInto("instances").values({ id: this.id, beat: 0 })
      .onConflict((conflict) => conflict.doNothing()).execute();
  }

  #lookLater(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(async () => {
      try {
        await this.#beat();
        if (await this.#look()) return;
      } catch (error) {
        if (this.#closed) return;
        log.warn("cannot tell which control planes live: {error}", { error: String(error) });
      }
      this.#lookLater();
    }, this.#lookMs);
  }

  async #beat(): Promise<void> {
    if (!this.#store.shared) return;
    const revived = await this.#store.write(async (write) => {
      const { numUpdatedRows } = await write.db.updateTable("instances")
        .set((eb) => ({ beat: eb("beat", "+", 1) })).where("id", "=", this.id)
        .executeTakeFirstOrThrow();
      if (numUpdatedRows > 0n) return false;
      await this.#enter(write);
      return true;
    });
    if (!revived) return;
    log.warn("another control plane took this one for gone: it tells again which devices are here");
    await this.#events.revived();
  }

  /** Looks at all others; true when there is nothing more to look for. */
  async #look(): Promise<boolean> {
    const rows = await this.#store.db.selectFrom("instances").selectAll()
      .where("id", "!=", this.id).execute();
    for (const id of [...this.#others.keys()]) {
      if (!rows.some((row) => row.id === id)) this.#others.delete(id);
    }
    const coming = this.#events.coming();
    for (const { id, beat } of rows) {
      const known = this.#others.get(id);
      const unchanged = known?.beat === beat ? known.unchanged + 1 : 0;
      this.#others.set(id, { beat, unchanged });
      if (unchanged < LOOKS - 1 || this.#closed) continue;
      if (coming && unchanged < MAX_LOOKS) continue;
      await this.#events.gone(id);
      this.#others.delete(id);
    }
    this.#looks++;
    const settled = this.#looks >= LOOKS && (!coming || this.#looks >= MAX_LOOKS);
    if (settled && !this.#settled && !this.#closed) {
      await this.#events.settled();
      this.#settled = true;
    }
    return !this.#store.shared && this.#settled && this.#others.size === 0;
  }
}
