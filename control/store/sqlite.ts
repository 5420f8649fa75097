import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { SqliteDatabase, SqliteStatement } from "kysely";

/** Statements kept prepared: more than this program has, so that none is prepared twice. */
const MAX_PREPARED = 256;

/**
 * Opens a database file for kysely's SqliteDialect.
 *
 * WAL keeps readers going beside the one writer and survives a kill at any moment. `synchronous` is
 * FULL: with NORMAL a power cut may undo the last commits, and then an address that an agent already
 * uses could be given out again, and revisions that watchers have seen would be used a second time.
 * FULL costs one fsync a commit, far below what devices joining need.
 */
export function openSqlite(path: string): SqliteDatabase & { raw: DatabaseSync } {
  const raw = new DatabaseSync(path);
  try {
    raw.exec("PRAGMA journal_mode = WAL");
    raw.exec("PRAGMA synchronous = FULL");
    raw.exec("PRAGMA foreign_keys = ON");
    raw.exec("PRAGMA busy_timeout = 5000");
    raw.exec("PRAGMA trusted_schema = OFF");
  } catch (error) {
    raw.close();
    throw error;
  }
  const prepared = new Map<string, SqliteStatement>();
  return {
    raw,
    close: () => raw.close(),
    prepare(text: string): SqliteStatement {
      let statement = prepared.get(text);
      if (!statement) {
        statement = adapt(raw.prepare(text));
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

function adapt(statement: StatementSync): SqliteStatement {
  const values = (parameters: readonly unknown[]) => parameters as SQLInputValue[];
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...values(parameters)),
    run: (parameters) => statement.run(...values(parameters)),
    iterate: (parameters) => statement.iterate(...values(parameters)),
  };
}
