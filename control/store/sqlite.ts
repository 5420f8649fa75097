import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import {
  CompiledQuery,
  type DatabaseConnection,
  Kysely,
  SqliteDialect,
  type SqliteDialectConfig,
  SqliteDriver,
  type SqliteStatement,
} from "kysely";

import { ControlError } from "../errors.ts";
import type { Backend } from "./backend.ts";
import { type Bookkeeping, migrate, pending } from "./migrate.ts";
import { copyBeforeMigration } from "./sqlite_copy.ts";
import type { Tables } from "./tables.ts";

/** Statements kept prepared: more than this program has, so that none is prepared twice. */
const MAX_PREPARED = 512;
/**
 * Checking a file at the start reads all of it, at about 400 MB a second; one that is larger than this
 * (a million devices) is opened without, bytes.
 */
const MAX_CHECKED = 768 * 1024 * 1024;

/**
 * Opens a database file and brings its tables up to date; `":memory:"` is one that nobody else sees.
 *
 * WAL keeps readers going beside the one writer and survives a kill at any moment. `synchronous` is
 * FULL: with NORMAL a power cut may undo the last commits, and then an address that an agent already
 * uses could be given out again, and revisions that watchers have seen would be used a second time.
 *
 * ControlError for a file that is damaged, of a newer version, or not to be opened; it stays as it is.
 */
export async function openSqlite(path: string): Promise<Backend> {
  const { raw, db } = connectSqlite(path);
  try {
    checkFile(raw);
    await bringUpToDate(path, raw, db as unknown as Kysely<Bookkeeping>);
  } catch (error) {
    await db.destroy();
    throw error instanceof ControlError ? error : openError(path, error);
  }
  return {
    kind: "sqlite",
    db,
    ready: () => {
      try {
        raw.prepare("SELECT 1 FROM revisions").get();
        return Promise.resolve(true);
      } catch {
        return Promise.resolve(false);
      }
    },
    close: () => db.destroy(),
  };
}

/** Opens a database file as it is. ControlError when that cannot be. */
export function connectSqlite(path: string): { raw: DatabaseSync; db: Kysely<Tables> } {
  let raw: DatabaseSync | undefined;
  try {
    raw = new DatabaseSync(path);
    // Waiting blocks the whole process, so it is short; write transactions are tried again by their queue.
    raw.exec("PRAGMA busy_timeout = 20");
    raw.exec("PRAGMA journal_mode = WAL");
    raw.exec("PRAGMA synchronous = FULL");
    raw.exec("PRAGMA foreign_keys = ON");
    raw.exec("PRAGMA trusted_schema = OFF");
  } catch (error) {
    raw?.close();
    throw openError(path, error);
  }
  return { raw, db: new Kysely<Tables>({ dialect: new Dialect({ database: adapt(raw) }) }) };
}

function checkFile(raw: DatabaseSync): void {
  const { pages } = raw.prepare(
    "SELECT page_count * page_size AS pages FROM pragma_page_count, " +
      "pragma_page_size",
  ).get() as { pages: number };
  if (pages > MAX_CHECKED) return;
  const row = raw.prepare("PRAGMA quick_check(1)").get() as { quick_check?: unknown } | undefined;
  if (row?.quick_check === "ok") return;
  throw new Error(String(row?.quick_check ?? "no answer").replace(/\s+/g, " ").trim());
}

async function bringUpToDate(
  path: string,
  raw: DatabaseSync,
  db: Kysely<Bookkeeping>,
): Promise<void> {
  const { applied, missing } = await pending(db, path);
  if (missing.length === 0) return;
  if (applied.length > 0 && path !== ":memory:") copyBeforeMigration(raw, path, applied.at(-1)!);
  // SQLite's own advice for changing tables: checked once at the end, not on the way.
  raw.exec("PRAGMA foreign_keys = OFF");
  await db.transaction().execute(async (transaction) => {
    await migrate(transaction, path);
    if (raw.prepare("PRAGMA foreign_key_check").get() !== undefined) {
      throw new Error("a row refers to another that is not there");
    }
  });
  raw.exec("PRAGMA foreign_keys = ON");
}

class Dialect extends SqliteDialect {
  readonly #config: SqliteDialectConfig;

  constructor(config: SqliteDialectConfig) {
    super(config);
    this.#config = config;
  }

  override createDriver(): SqliteDriver {
    return new Driver(this.#config);
  }
}

class Driver extends SqliteDriver {
  /** Takes the write lock at once: a transaction that began by reading could not be repeated. */
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("begin immediate"));
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    try {
      await super.rollbackTransaction(connection);
    } catch {
      // SQLite has rolled back by itself, as it does when the disk is full; what it said then counts.
    }
  }
}

/** The database as kysely's SqliteDialect wants it. */
function adapt(raw: DatabaseSync): {
  close(): void;
  prepare(text: string): SqliteStatement;
} {
  const prepared = new Map<string, SqliteStatement>();
  return {
    close: () => raw.close(),
    prepare(text: string): SqliteStatement {
      let statement = prepared.get(text);
      if (!statement) {
        statement = adaptStatement(raw.prepare(text));
        if (prepared.size >= MAX_PREPARED) {
          const oldest = prepared.keys().next().value;
          if (oldest !== undefined) prepared.delete(oldest);
        }
        // A schema change alters what a statement returns, so only statements on data are kept.
        if (/^\s*(select|insert|update|delete|with)\b/i.test(text)) prepared.set(text, statement);
      }
      return statement;
    },
  };
}

function adaptStatement(statement: StatementSync): SqliteStatement {
  const values = (parameters: readonly unknown[]) => parameters as SQLInputValue[];
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...values(parameters)),
    run: (parameters) => statement.run(...values(parameters)),
    iterate: (parameters) => statement.iterate(...values(parameters)),
  };
}

function openError(path: string, error: unknown): ControlError {
  const code = (error as { errcode?: number }).errcode;
  const detail = error instanceof Error ? error.message : String(error);
  const because = (remedy: string) =>
    new ControlError(`Cannot open ${path}: ${detail}; ${remedy}`, { cause: error });
  // SQLITE_PERM, SQLITE_READONLY, SQLITE_CANTOPEN; SQLITE_BUSY; SQLITE_FULL: the file may be fine.
  switch (code === undefined ? undefined : code & 0xff) {
    case 3:
    case 8:
    case 14:
      return because("make the directory writable, or choose another --state-dir");
    case 5:
      return because("another program holds it: end that one, then start again");
    case 13:
      return because("make room on the disk, then start again");
  }
  return because(
    "the file was left as it is: restore a backup of it, or move it away to start empty",
  );
}
