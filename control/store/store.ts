import { Kysely, SqliteDialect, type Transaction } from "kysely";
import { Migrator } from "kysely/migration";
import type { DatabaseSync } from "node:sqlite";
import { ControlError } from "../errors.ts";
import { migrationProvider, MIGRATIONS } from "./migrations.ts";
import { openSqlite } from "./sqlite.ts";
import type { RevisionName, Tables } from "./tables.ts";

/** What reads rows: the store's database, or the transaction that is under way. */
export type Reader = Kysely<Tables>;

/** A change that was committed: rows of this kind in this VPC have new revisions. */
export interface Change {
  kind: RevisionName;
  vpcId: string;
}

/** Stock agents read revisions as signed 32-bit numbers. */
const MAX_REVISION = 2 ** 31 - 1;

/** A write transaction. Use `db` for everything in it: the store's own `db` would wait for its end. */
export class Write {
  readonly db: Transaction<Tables>;
  readonly changes = new Map<string, Change>();

  constructor(db: Transaction<Tables>) {
    this.db = db;
  }

  /** The next revision of a kind; watchers of the VPC are told once the transaction is committed. */
  async revision(kind: RevisionName, vpcId: string): Promise<number> {
    const row = await this.db.updateTable("revisions")
      .set((eb) => ({ value: eb("value", "+", 1) }))
      .where("name", "=", kind).where("value", "<", MAX_REVISION)
      .returning("value").executeTakeFirst();
    if (!row) throw new Error(`the revisions of ${kind} are used up: ${MAX_REVISION}`);
    this.touched(kind, vpcId);
    return row.value;
  }

  /** Tells watchers of a VPC without a new revision: for rows whose revision another call took. */
  touched(kind: RevisionName, vpcId: string): void {
    this.changes.set(`${kind} ${vpcId}`, { kind, vpcId });
  }
}

/** The database, with transactions that tell listeners what they changed. */
export class Store {
  readonly db: Kysely<Tables>;
  readonly #raw: DatabaseSync;
  readonly #listeners = new Set<(change: Change) => void>();
  #closed = false;

  private constructor(db: Kysely<Tables>, raw: DatabaseSync) {
    this.db = db;
    this.#raw = raw;
  }

  /**
   * Opens the database at `path` (`":memory:"` for one that nobody else sees) and brings its tables
   * up to date. A damaged file, or one written by a newer version, is left as it is: ControlError.
   */
  static async open(path: string): Promise<Store> {
    let sqlite: ReturnType<typeof openSqlite>;
    try {
      sqlite = openSqlite(path);
      checkIntegrity(sqlite.raw);
    } catch (error) {
      throw openError(path, error);
    }
    const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: sqlite }) });
    try {
      refuseNewer(path, sqlite.raw);
      const { error } = await new Migrator({ db, provider: migrationProvider }).migrateToLatest();
      if (error) throw openError(path, error);
    } catch (error) {
      await db.destroy();
      throw error;
    }
    return new Store(db, sqlite.raw);
  }

  /**
   * Runs `work` in one transaction: all of it is committed, or, when it throws, none. Listeners hear
   * of its changes after the commit. Transactions are serial, so revisions appear in their order.
   */
  async write<T>(work: (write: Write) => Promise<T>): Promise<T> {
    const { result, changes } = await this.db.transaction().execute(async (db) => {
      const write = new Write(db);
      return { result: await work(write), changes: write.changes };
    });
    for (const change of changes.values()) {
      for (const listener of this.#listeners) listener(change);
    }
    return result;
  }

  /** Calls `listener` after each commit, once for each kind and VPC; returns how to stop that. */
  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The highest revision that was given out for a kind. */
  async currentRevision(kind: RevisionName): Promise<number> {
    const row = await this.db.selectFrom("revisions").select("value").where("name", "=", kind)
      .executeTakeFirstOrThrow();
    return row.value;
  }

  /** Whether the database answers. */
  ready(): boolean {
    try {
      this.#raw.prepare("SELECT 1").get();
      return true;
    } catch {
      return false;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#listeners.clear();
    await this.db.destroy();
  }
}

function checkIntegrity(raw: DatabaseSync): void {
  const row = raw.prepare("PRAGMA quick_check(1)").get() as { quick_check?: unknown } | undefined;
  if (row?.quick_check === "ok") return;
  throw new Error(String(row?.quick_check ?? "no answer").replace(/\s+/g, " ").trim());
}

function refuseNewer(path: string, raw: DatabaseSync): void {
  const table = raw.prepare(
    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'kysely_migration'",
  ).get();
  if (!table) return;
  const applied = raw.prepare("SELECT name FROM kysely_migration ORDER BY name").all();
  const unknown = applied.map((row) => String(row.name)).find((name) => !(name in MIGRATIONS));
  if (unknown !== undefined) {
    throw new ControlError(
      `Cannot open ${path}: a newer nexd wrote it (migration ${unknown}); ` +
        `run that version, or choose another --state-dir`,
    );
  }
}

function openError(path: string, error: unknown): ControlError {
  const code = (error as { errcode?: number }).errcode;
  const detail = error instanceof Error ? error.message : String(error);
  // SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_PERM: the file may be fine.
  if (code !== undefined && [3, 8, 14].includes(code & 0xff)) {
    return new ControlError(
      `Cannot open ${path}: ${detail}; make the directory writable, or choose another --state-dir`,
      { cause: error },
    );
  }
  return new ControlError(
    `Cannot open ${path}: ${detail}; the file was left as it is: ` +
      `restore a backup of it, or move it away to start empty`,
    { cause: error },
  );
}
