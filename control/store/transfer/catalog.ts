import { type Kysely, sql } from "kysely";

/** A database whose tables are looked up. */
export type Untyped = Record<string, Record<string, unknown>>;

/** A table with its columns, in their order. */
export interface TableInfo {
  name: string;
  columns: string[];
}

/**
 * Tables whose rows say what is so just now, or how the tables were made: they are nothing for another
 * database.
 */
const OWN_AFFAIRS = [
  "kysely_migration",
  "kysely_migration_lock",
  "instances",
  "device_streams",
  "device_paths",
  "relay_samples",
];

/** The tables with data, those that others refer to first. */
export async function catalog(
  db: Kysely<Untyped>,
  kind: "sqlite" | "postgres",
): Promise<TableInfo[]> {
  const { references, schema } = await (kind === "sqlite" ? ofSqlite(db) : ofPostgres(db));
  const all = await db.introspection.getTables();
  const tables = all.filter((table) => !table.isView && table.schema === schema)
    .filter(({ name }) => !OWN_AFFAIRS.includes(name) && !name.startsWith("sqlite_"))
    .map(({ name, columns }) => ({ name, columns: columns.map((column) => column.name) }))
    .sort((a, b) => a.name < b.name ? -1 : 1);
  return parentsFirst(tables, references);
}

/** Which table refers to which. */
type References = { child: string; parent: string }[];

async function ofSqlite(
  db: Kysely<Untyped>,
): Promise<{ references: References; schema: string | undefined }> {
  const { rows } = await sql<{ child: string; parent: string }>`
    select m.name as child, f."table" as parent
    from sqlite_master m, pragma_foreign_key_list(m.name) f where m.type = 'table'`.execute(db);
  return { references: rows, schema: undefined };
}

async function ofPostgres(
  db: Kysely<Untyped>,
): Promise<{ references: References; schema: string | undefined }> {
  const { rows } = await sql<{ child: string; parent: string }>`
    select c.relname as child, p.relname as parent from pg_constraint f
    join pg_class c on c.oid = f.conrelid join pg_class p on p.oid = f.confrelid
    where f.contype = 'f' and f.connamespace = current_schema()::regnamespace`.execute(db);
  const named = await sql<{ schema: string }>`select current_schema() as schema`.execute(db);
  return { references: rows, schema: named.rows[0]!.schema };
}

function parentsFirst(tables: TableInfo[], references: References): TableInfo[] {
  const sorted: TableInfo[] = [];
  const rest = new Map(tables.map((table) => [table.name, table]));
  while (rest.size > 0) {
    const free = [...rest.values()].filter(({ name }) =>
      !references.some(({ child, parent }) => child === name && parent !== name && rest.has(parent))
    );
    if (free.length === 0) throw new Error(`tables refer to each other: ${[...rest.keys()]}`);
    for (const table of free) rest.delete(table.name);
    sorted.push(...free);
  }
  return sorted;
}
