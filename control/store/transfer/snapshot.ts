import { DatabaseSync } from "node:sqlite";
import type { Kysely } from "kysely";
import { reasonOf } from "../../../relay/cert/mod.ts";
import { ControlError } from "../../errors.ts";
import type { Bookkeeping } from "../migrate.ts";
import {
  Client,
  clientConfig,
  connectOnce,
  isPostgresUrl,
  parsePostgresUrl,
} from "../postgres/mod.ts";
import { connectSqlite } from "../sqlite.ts";
import { catalog, type TableInfo, type Untyped } from "./catalog.ts";

/** Rows at a time. */
const CHUNK = 500;

/** A database as it is at one moment, while others go on to write it. */
export interface Snapshot {
  /** The migrations that it has. */
  migrations: string[];
  /** Those that others refer to first. */
  tables: TableInfo[];
  /** All rows of a table, some at a time; values in the order of its columns. */
  rows(table: TableInfo): AsyncIterable<unknown[][]>;
  close(): Promise<void>;
}

/**
 * Opens the database at a path or a `postgres://` URL for reading. ControlError when it cannot be
 * read, or no control plane has used it.
 */
export async function openSnapshot(where: string): Promise<Snapshot> {
  return await (isPostgresUrl(where) ? ofPostgres(where) : ofSqlite(where));
}

async function ofSqlite(path: string): Promise<Snapshot> {
  try {
    if (Deno.statSync(path).size === 0) throw empty(path);
  } catch (error) {
    if (error instanceof ControlError) throw error;
    const why = error instanceof Deno.errors.NotFound ? "there is none" : reasonOf(error);
    throw new ControlError(
      `Cannot read the database ${path}: ${why}; name the control plane's directory by --state-dir`,
      { cause: error },
    );
  }
  const { db } = connectSqlite(path);
  let about: Pick<Snapshot, "migrations" | "tables">;
  try {
    about = await describe(db as unknown as Kysely<Untyped>, "sqlite", path);
  } finally {
    await db.destroy();
  }
  const raw = new DatabaseSync(path, { readOnly: true });
  // Everything is read as of the first query in here; the writer's log keeps it until the end.
  raw.exec("PRAGMA busy_timeout = 5000; BEGIN; SELECT 1 FROM kysely_migration");
  return {
    ...about,
    async *rows({ name, columns }) {
      const statement = raw.prepare(
        `SELECT ${columns.map(quoted).join(", ")} FROM ${quoted(name)}`,
      );
      let chunk: unknown[][] = [];
      for (const row of statement.iterate()) {
        chunk.push(columns.map((column) => row[column]));
        if (chunk.length < CHUNK) continue;
        yield chunk;
        chunk = [];
      }
      if (chunk.length > 0) yield chunk;
    },
    close() {
      raw.close();
      return Promise.resolve();
    },
  };
}

async function ofPostgres(url: string): Promise<Snapshot> {
  const address = parsePostgresUrl(url);
  const about = await connectOnce(
    address,
    (db) => describe(db as unknown as Kysely<Untyped>, "postgres", address.shown),
  );
  const client = new Client(clientConfig(address, true));
  await client.connect();
  await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  return {
    ...about,
    async *rows({ name, columns }) {
      const names = columns.map(quoted).join(", ");
      await client.query(`DECLARE rows CURSOR FOR SELECT ${names} FROM ${quoted(name)}`);
      for (;;) {
        const { rows } = await client.query(`FETCH ${CHUNK} FROM rows`);
        if (rows.length === 0) break;
        yield rows.map((row) => columns.map((column) => row[column]));
      }
      await client.query("CLOSE rows");
    },
    close: () => client.end(),
  };
}

async function describe(
  db: Kysely<Untyped>,
  kind: "sqlite" | "postgres",
  where: string,
): Promise<Pick<Snapshot, "migrations" | "tables">> {
  let names: { name: string }[];
  try {
    names = await (db as unknown as Kysely<Bookkeeping>).selectFrom("kysely_migration")
      .select("name").orderBy("name").execute();
  } catch (error) {
    if (/no such table|does not exist/.test(String(error))) throw empty(where);
    throw error;
  }
  return { migrations: names.map(({ name }) => name), tables: await catalog(db, kind) };
}

function empty(where: string): ControlError {
  return new ControlError(
    `Cannot back up ${where}: no control plane has used it; check --state-dir and --database-url`,
  );
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
