import { type Kysely, sql } from "kysely";

/** How relays were at the last looks of all control planes of the database. */
export const relaySamples = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

const STATEMENTS = [
  // The one that is built in has no row to refer to.
  `CREATE TABLE relay_samples (
     relay_id TEXT NOT NULL, at TEXT NOT NULL, instance_id TEXT NOT NULL,
     latency_us INTEGER, clients INTEGER, bytes_per_second INTEGER,
     PRIMARY KEY (relay_id, at, instance_id)) WITHOUT ROWID`,
];
