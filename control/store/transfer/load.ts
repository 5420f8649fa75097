import { type Kysely, sql, type Transaction } from "kysely";
import { ControlError } from "../../errors.ts";
import { type Bookkeeping, migrate, migrationNames } from "../migrate.ts";
import {
  connectOnce,
  MIGRATION_LOCK,
  parsePostgresUrl,
  RUNNING_LOCK,
  WRITE_LOCK,
} from "../postgres/mod.ts";
import { type Note, writeNotes } from "../writes/mod.ts";
import type { Tables } from "../tables.ts";
import { connectSqlite } from "../sqlite.ts";
import { catalog, type TableInfo, type Untyped } from "./catalog.ts";

/** Parameters of one statement; SQLite takes 32,766. */
const MAX_VALUES = 10_000;
/**
 * By how much revisions rise: by more than were given out between a backup and the moment that it is
 * restored. Watchers that have seen those would not hear of lower ones.
 */
const REVISION_JUMP = 1_000_000;
/** Stock agents read revisions as signed 32-bit numbers. */
const MAX_REVISION = 2 ** 31 - 1;

/** Takes rows of a table; values in the order of the columns. */
export type Insert = (table: TableInfo, rows: readonly unknown[][]) => Promise<void>;

/** What a database is to be made of. */
export interface Content {
  /** The migrations that its rows are of; those that came later follow. */
  migrations: readonly string[];
  /** Gives all rows, those that others refer to first. */
  load(insert: Insert): Promise<void>;
  /** What the audit log gets on top. */
  note?: Note;
}

/** Makes a database file, which must not be there yet. */
export async function loadSqlite(path: string, content: Content): Promise<void> {
  refuseNewer(content);
  const { raw, db } = connectSqlite(path);
  try {
    // Nobody reads it before it is whole, and on the disk.
    raw.exec("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF");
    await db.transaction().execute((transaction) =>
      fill(transaction as unknown as Transaction<Untyped>, "sqlite", path, content)
    );
    if (raw.prepare("PRAGMA foreign_key_check").get() !== undefined) {
      throw new ControlError("Cannot restore: a row of the backup refers to one that it has not");
    }
  } finally {
    await db.destroy();
  }
  using file = await Deno.open(path, { read: true, write: true });
  await file.sync();
}

/**
 * Replaces what a PostgreSQL database holds of a control plane, in one transaction. ControlError while
 * control planes run on it and, without `force`, when it has accounts.
 */
export async function loadPostgres(
  url: string,
  content: Content,
  { force }: { force: boolean },
): Promise<void> {
  refuseNewer(content);
  const address = parsePostgresUrl(url);
  const refuse = (why: string) => new ControlError(`Cannot restore into ${address.shown}: ${why}`);
  await connectOnce(address, async (db) => {
    await db.transaction().setIsolationLevel("read committed").execute(async (transaction) => {
      const untyped = transaction as unknown as Transaction<Untyped>;
      const alone = await sql<{ alone: boolean }>`
        select pg_try_advisory_xact_lock(${sql.lit(RUNNING_LOCK)}) as alone`.execute(untyped);
      if (!alone.rows[0]!.alone) {
        throw refuse("control planes are running on it; stop all of them");
      }
      for (const lock of [MIGRATION_LOCK, WRITE_LOCK]) {
        await sql`select pg_advisory_xact_lock(${sql.lit(lock)})`.execute(untyped);
      }
      const tables = await ours(untyped);
      if (!force && await hasAccounts(untyped, tables)) {
        throw refuse("a control plane has used it; --force replaces what it holds");
      }
      for (const name of tables) await sql`drop table ${sql.table(name)} cascade`.execute(untyped);
      await fill(untyped, "postgres", address.shown, content);
    });
  });
}

/** Tables of a control plane: where there is none with the names of migrations, none is ours. */
async function ours(db: Kysely<Untyped>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select tablename as name from pg_tables where schemaname = current_schema()`.execute(db);
  const names = rows.map(({ name }) => name);
  if (!names.includes("kysely_migration")) return [];
  const known = await ownTables();
  return names.filter((name) => known.has(name));
}

/** Names of all tables that the migrations of this version make. */
async function ownTables(): Promise<Set<string>> {
  const { db } = connectSqlite(":memory:");
  try {
    await migrate(db as unknown as Kysely<Bookkeeping>, ":memory:");
    const tables = await db.introspection.getTables();
    // Those of bookkeeping are not among them.
    const bookkept = ["kysely_migration", "kysely_migration_lock"];
    return new Set([...tables.map(({ name }) => name), ...bookkept]);
  } finally {
    await db.destroy();
  }
}

async function hasAccounts(db: Kysely<Untyped>, tables: string[]): Promise<boolean> {
  return tables.includes("accounts") &&
    await db.selectFrom("accounts").select("id").limit(1).executeTakeFirst() !== undefined;
}

function refuseNewer({ migrations }: Content): void {
  const unknown = migrations.find((name) => !migrationNames().includes(name));
  if (unknown === undefined) return;
  throw new ControlError(
    `Cannot restore: a newer nexd made the backup (migration ${unknown}); restore it with that one`,
  );
}

async function fill(
  db: Transaction<Untyped>,
  kind: "sqlite" | "postgres",
  where: string,
  { migrations, load, note }: Content,
): Promise<void> {
  const bookkeeping = db as unknown as Kysely<Bookkeeping>;
  await migrate(bookkeeping, where, migrations);
  const tables = await catalog(db, kind);
  // What migrations put into new tables is in the backup, as it was then.
  for (const { name } of tables.toReversed()) await db.deleteFrom(name).execute();
  await load(async (table, rows) => {
    const known = tables.find(({ name }) => name === table.name);
    const unknown = known === undefined
      ? table.name
      : table.columns.find((column) => !known.columns.includes(column));
    if (unknown !== undefined) {
      throw new ControlError(
        `Cannot restore: the backup has ${unknown.slice(0, 60)}, ` +
          `which its version of nexd had not; it is damaged`,
      );
    }
    const step = Math.max(1, Math.floor(MAX_VALUES / table.columns.length));
    for (let at = 0; at < rows.length; at += step) {
      await db.insertInto(table.name).values(
        rows.slice(at, at + step).map((row) =>
          Object.fromEntries(table.columns.map((column, i) => [column, row[i]]))
        ),
      ).execute();
    }
  });
  await raiseRevisions(db, tables);
  await migrate(bookkeeping, where);
  if (note !== undefined) await writeNotes(db as unknown as Transaction<Tables>, [note]);
}

/** Gives every row a revision that no watcher has seen yet, in the order that they had. */
async function raiseRevisions(db: Transaction<Untyped>, tables: TableInfo[]): Promise<void> {
  const { rows } = await sql<{ value: number | null }>`
    select max(value) as value from revisions`.execute(db);
  const jump = Math.min(REVISION_JUMP, Math.floor((MAX_REVISION - (rows[0]?.value ?? 0)) / 2));
  await sql`update revisions set value = value + ${sql.lit(jump)}`.execute(db);
  for (const { name, columns } of tables) {
    if (!columns.includes("revision")) continue;
    await sql`update ${sql.table(name)} set revision = revision + ${sql.lit(jump)}`.execute(db);
  }
}
