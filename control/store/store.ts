import { getLogger } from "@logtape/logtape";
import type { Kysely } from "kysely";
import type { Backend, Heard, PoolState } from "./backend.ts";
import { Commits, type Write } from "./writes/mod.ts";
import { isPostgresUrl, openPostgres } from "./postgres/mod.ts";
import { openSqlite } from "./sqlite.ts";
import type { RevisionName, Tables } from "./tables.ts";

const log = getLogger(["nexd", "control", "store"]);

/** What reads rows: the store's database, or the transaction that is under way. */
export type Reader = Kysely<Tables>;

/** See {@linkcode Store.stats}; `seconds` in transactions, `failed` ones are not in `transactions`. */
export interface StoreStats {
  transactions: number;
  writes: number;
  failed: number;
  seconds: number;
  /** Pieces of work that wait. */
  waiting: number;
  /** Of PostgreSQL. */
  pool?: PoolState;
}

/** The database, with transactions that tell listeners what they changed. */
export class Store {
  /** For reading; what is written goes through {@linkcode Store.write}. */
  readonly db: Kysely<Tables>;
  readonly #backend: Backend;
  readonly #commits: Commits;
  readonly #listeners = new Set<(heard: Heard) => void>();
  #closed: Promise<void> | undefined;

  private constructor(backend: Backend) {
    this.db = backend.db;
    this.#backend = backend;
    this.#commits = new Commits(backend, (changes) => changes.forEach((c) => this.#tell(c)));
  }

  /**
   * Opens the database file at a path (`":memory:"` for one that nobody else sees), or the PostgreSQL
   * database at a `postgres://` URL, and brings its tables up to date. ControlError for one that is
   * damaged, of a newer version, or cannot be reached; it is left as it is.
   */
  static async open(where: string): Promise<Store> {
    const store = new Store(await (isPostgresUrl(where) ? openPostgres : openSqlite)(where));
    try {
      await store.#backend.listen?.((heard) => store.#tell(heard));
      return store;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** Whether other control planes may use the same database at the same time. */
  get shared(): boolean {
    return this.#backend.kind === "postgres";
  }

  /**
   * Runs `work` in a transaction: all of it is written, or, when it throws, nothing. Listeners hear of
   * its changes after the commit. Transactions are serial, those of other control planes on the same
   * database included, so revisions appear in their order and no watcher can miss one.
   *
   * @throws what `work` throws; see `unavailable` for what the database may add
   */
  write<T>(work: (write: Write) => Promise<T>): Promise<T> {
    return this.#commits.run(work);
  }

  /**
   * Calls `listener` after each commit of any control plane on this database, once for each kind and
   * VPC, or with "everything" when commits may have been missed; returns how to stop that.
   */
  onChange(listener: (heard: Heard) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The highest revision that was given out for a kind. */
  async currentRevision(kind: RevisionName): Promise<number> {
    const row = await this.db.selectFrom("revisions").select("value").where("name", "=", kind)
      .executeTakeFirstOrThrow();
    return row.value;
  }

  /** What was written since the start, and what waits now. */
  stats(): StoreStats {
    const pool = this.#backend.pool?.();
    return {
      ...this.#commits.stats,
      waiting: this.#commits.waiting,
      ...(pool === undefined ? {} : { pool }),
    };
  }

  /** Whether the database answers. */
  async ready(): Promise<boolean> {
    return this.#closed === undefined && await this.#backend.ready();
  }

  /** Ends after the work that waits. */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    await this.#commits.idle();
    this.#listeners.clear();
    await this.#backend.close();
  }

  #tell(heard: Heard): void {
    for (const listener of this.#listeners) {
      try {
        listener(heard);
      } catch (error) {
        // The change is written: whoever wrote it is not to be told otherwise.
        log.error("a listener failed: {error}", { error });
      }
    }
  }
}
