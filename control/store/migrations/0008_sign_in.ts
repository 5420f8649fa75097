import { type Kysely, sql } from "kysely";

/** Accounts that are disabled, sign-ins in a browser that are under way, links of invitations. */
export const signIn = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

const STATEMENTS = [
  `ALTER TABLE accounts ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0`,
  `CREATE TABLE auth_codes (
     code_hash TEXT PRIMARY KEY, account_id TEXT NOT NULL REFERENCES accounts (id),
     client_id TEXT NOT NULL, redirect_uri TEXT NOT NULL, challenge TEXT NOT NULL,
     scope TEXT NOT NULL, nonce TEXT NOT NULL, session_id TEXT,
     created_at TEXT NOT NULL, expires_at TEXT NOT NULL) WITHOUT ROWID`,
  `CREATE INDEX auth_codes_expiry ON auth_codes (expires_at)`,
  `CREATE INDEX auth_codes_account ON auth_codes (account_id)`,
  `ALTER TABLE invitations ADD COLUMN link_hash TEXT`,
  `CREATE INDEX invitations_link ON invitations (link_hash)`,
];
