import { type Kysely, sql } from "kysely";

/** Invitations, service networks, what is deleted of users and organizations, and ordered lists. */
export const tenants = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

const STATEMENTS = [
  // Rows that others refer to stay for a while when a user or an organization goes.
  `ALTER TABLE users ADD COLUMN email TEXT NOT NULL DEFAULT ''`,
  `ALTER TABLE users ADD COLUMN deleted_at TEXT`,
  `UPDATE users SET email = COALESCE(
     (SELECT lower(accounts.email) FROM accounts WHERE accounts.id = users.subject), '')`,
  `CREATE INDEX users_email ON users (email)`,
  `ALTER TABLE organizations ADD COLUMN deleted_at TEXT`,
  `CREATE INDEX memberships_organization ON memberships (organization_id)`,
  `CREATE TABLE invitations (
     id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
     user_id TEXT REFERENCES users (id), email TEXT,
     from_user_id TEXT NOT NULL REFERENCES users (id), roles_json TEXT NOT NULL,
     created_at TEXT NOT NULL, expires_at TEXT NOT NULL) WITHOUT ROWID`,
  `CREATE INDEX invitations_organization ON invitations (organization_id)`,
  `CREATE INDEX invitations_user ON invitations (user_id)`,
  `CREATE INDEX invitations_email ON invitations (email)`,
  `CREATE TABLE service_networks (
     id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
     description TEXT NOT NULL, revision INTEGER NOT NULL, created_at TEXT NOT NULL) WITHOUT ROWID`,
  `CREATE INDEX service_networks_organization ON service_networks (organization_id)`,
  `CREATE INDEX vpcs_organization ON vpcs (organization_id)`,
  `CREATE INDEX reg_keys_owner ON reg_keys (owner_id)`,
  `CREATE INDEX reg_keys_vpc ON reg_keys (vpc_id)`,
  // A list is read page by page in its order.
  `DROP INDEX devices_owner`,
  `CREATE INDEX devices_owner ON devices (owner_id, hostname, id) WHERE deleted_at IS NULL`,
  `CREATE INDEX devices_list ON devices (vpc_id, hostname, id) WHERE deleted_at IS NULL`,
];
