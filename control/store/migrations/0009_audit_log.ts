import { type Kysely, sql } from "kysely";

/** Who did what when. */
export const auditLog = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

const STATEMENTS = [
  `INSERT INTO revisions (name, value) VALUES ('audit_log', 0)`,
  // It refers to nothing: what it tells of may be gone.
  `CREATE TABLE audit_log (
     id INTEGER PRIMARY KEY, at TEXT NOT NULL, request_id TEXT NOT NULL,
     actor_kind TEXT NOT NULL, actor_id TEXT NOT NULL, actor_name TEXT NOT NULL,
     organization_id TEXT NOT NULL, action TEXT NOT NULL, resource_kind TEXT NOT NULL,
     resource_id TEXT NOT NULL, resource_name TEXT NOT NULL, address TEXT NOT NULL,
     outcome TEXT NOT NULL, changes_json TEXT NOT NULL)`,
  `CREATE INDEX audit_log_organization ON audit_log (organization_id, id)`,
  // Kept apart from what was done, so that strangers cannot push that out.
  `CREATE INDEX audit_log_refused ON audit_log (organization_id, id) WHERE outcome = 'refused'`,
];
