import { type Kysely, sql } from "kysely";

/** What online devices tell of their ways to each other and to relays; nobody is told of changes. */
export const devicePaths = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

const STATEMENTS = [
  `CREATE TABLE device_paths (
     device_id TEXT PRIMARY KEY REFERENCES devices (id), vpc_id TEXT NOT NULL,
     peers_json TEXT NOT NULL, relays_json TEXT NOT NULL, told_at TEXT NOT NULL) WITHOUT ROWID`,
  `CREATE INDEX device_paths_vpc ON device_paths (vpc_id)`,
];
