import type { Kysely } from "kysely";
import { ControlError } from "../errors.ts";
import { MIGRATIONS } from "./migrations.ts";

/** Where a database notes which migrations it has. */
export interface Bookkeeping {
  kysely_migration: { name: string; timestamp: string };
}

/** Every migration of this version, in the order of their making. */
export function migrationNames(): string[] {
  return Object.keys(MIGRATIONS).sort();
}

/**
 * The migrations that a database has and those that it misses, changing nothing but the table with
 * their names. ControlError, naming `where`, for one that a newer version has changed.
 */
export async function pending(
  db: Kysely<Bookkeeping>,
  where: string,
): Promise<{ applied: string[]; missing: string[] }> {
  await db.schema.createTable("kysely_migration").ifNotExists()
    .addColumn("name", "varchar(255)", (column) => column.notNull().primaryKey())
    .addColumn("timestamp", "varchar(255)", (column) => column.notNull()).execute();
  const rows = await db.selectFrom("kysely_migration").select("name").execute();
  const applied = rows.map(({ name }) => name).sort();
  const unknown = applied.find((name) => !(name in MIGRATIONS));
  if (unknown !== undefined) {
    throw new ControlError(
      `Cannot open ${where}: a newer nexd wrote it (migration ${unknown}); ` +
        `run that version, or choose another --state-dir or --database-url`,
    );
  }
  return { applied, missing: migrationNames().filter((name) => !applied.includes(name)) };
}

/**
 * Runs the migrations that a database misses; to be called in a transaction, so that a kill leaves
 * the tables as they were.
 *
 * @param names those to run; by default all
 */
export async function migrate(
  db: Kysely<Bookkeeping>,
  where: string,
  names: readonly string[] = migrationNames(),
): Promise<void> {
  const { missing } = await pending(db, where);
  for (const name of missing.filter((name) => names.includes(name))) {
    await MIGRATIONS[name]!.up(db as unknown as Kysely<unknown>);
    await db.insertInto("kysely_migration")
      .values({ name, timestamp: new Date().toISOString() }).execute();
  }
}
