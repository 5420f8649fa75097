import { type Kysely, sql } from "kysely";

/** The public relays that agents are told of, and who may change them. */
export const relayRegions = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

const STATEMENTS = [
  `INSERT INTO revisions (name, value) VALUES ('relay_regions', 0)`,
  `CREATE TABLE relay_regions (
     id TEXT PRIMARY KEY, name TEXT NOT NULL, region_id INTEGER NOT NULL,
     hostname TEXT NOT NULL, port INTEGER NOT NULL, stun_port INTEGER NOT NULL,
     ca TEXT NOT NULL, weight INTEGER NOT NULL, drained INTEGER NOT NULL,
     revision INTEGER NOT NULL, created_at TEXT NOT NULL, deleted_at TEXT) WITHOUT ROWID`,
  `CREATE UNIQUE INDEX relay_regions_name ON relay_regions (name) WHERE deleted_at IS NULL`,
  `CREATE UNIQUE INDEX relay_regions_place ON relay_regions (hostname, port)
     WHERE deleted_at IS NULL`,
  `CREATE INDEX relay_regions_watch ON relay_regions (revision)`,
  // Relays serve all organizations: who runs the control plane has a say, and nobody else.
  `ALTER TABLE accounts ADD COLUMN operator INTEGER NOT NULL DEFAULT 0`,
  `UPDATE accounts SET operator = 1
     WHERE id = (SELECT id FROM accounts ORDER BY created_at, id LIMIT 1)`,
];
