import { type Kysely, sql } from "kysely";

/** What several control planes on one database have to know of each other. */
export const instances = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

const STATEMENTS = [
  `CREATE TABLE instances (id TEXT PRIMARY KEY, beat INTEGER NOT NULL) WITHOUT ROWID`,
  `CREATE TABLE device_streams (
     device_id TEXT NOT NULL REFERENCES devices (id), instance_id TEXT NOT NULL,
     PRIMARY KEY (device_id, instance_id)) WITHOUT ROWID`,
  `CREATE INDEX device_streams_instance ON device_streams (instance_id)`,
  // The order of their making, which lists keep: the row's number is SQLite's only.
  `ALTER TABLE security_groups ADD COLUMN made INTEGER NOT NULL DEFAULT 0`,
  `UPDATE security_groups SET made = revision`,
];
