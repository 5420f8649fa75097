/** A row as the transaction has it, which may be newer than the database's. */
interface Held {
  readonly value: unknown;
  readonly changed: boolean;
  /** Writes a value of it. */
  readonly save: (value: never) => Promise<unknown>;
}

/** How a row is read and written. */
export interface RowSource<T> {
  load(): Promise<T>;
  save(value: T): Promise<unknown>;
}

/**
 * Rows that nearly every piece of work of a transaction changes, such as counters: read once, changed
 * in memory, and written once at the end, inside the same transaction. Nobody else can change them
 * meanwhile, as transactions are serial. What a piece of work did to them goes with the rest of it.
 */
export class HeldRows {
  #rows = new Map<string, Held>();
  readonly #loading = new Map<string, Promise<void>>();

  /**
   * Changes a row: `step` gets its value, and returns the next one (values are never changed in place)
   * with what the caller is to have.
   *
   * @param name of the row, of all kinds
   */
  async change<T, R>(name: string, source: RowSource<T>, step: (value: T) => [T, R]): Promise<R> {
    if (!this.#rows.has(name)) await this.#load(name, source);
    const held = this.#rows.get(name)!;
    const [value, result] = step(held.value as T);
    this.#rows.set(name, {
      value,
      changed: held.changed || value !== held.value,
      save: source.save as Held["save"],
    });
    return result;
  }

  async #load<T>(name: string, source: RowSource<T>): Promise<void> {
    // Who comes while it is read waits for the same, not for a value of its own.
    const loading = this.#loading.get(name) ?? source.load().then((value) => {
      this.#rows.set(name, { value, changed: false, save: source.save as Held["save"] });
    }).finally(() => this.#loading.delete(name));
    this.#loading.set(name, loading);
    await loading;
  }

  /** Writes a row that was changed, and forgets it: for whoever changes it in the database itself. */
  async release(name: string): Promise<void> {
    const held = this.#rows.get(name);
    if (!this.#rows.delete(name)) return;
    if (held!.changed) await held!.save(held!.value as never);
  }

  /** Returns how to take back all that changes from now on; to be called with the savepoint's rollback. */
  mark(): () => void {
    const before = new Map(this.#rows);
    return () => this.#rows = before;
  }

  /** Writes all that was changed. */
  async saveAll(): Promise<void> {
    const changed = [...this.#rows.values()].filter((held) => held.changed);
    const saved = await Promise.allSettled(changed.map((held) => held.save(held.value as never)));
    for (const one of saved) if (one.status === "rejected") throw one.reason;
  }
}
