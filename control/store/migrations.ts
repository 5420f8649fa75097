/**
 * How the tables came to be. Each migration is written for SQLite and runs on PostgreSQL as well, where
 * `TEXT`, `INTEGER` and `BLOB` become its types and `WITHOUT ROWID` goes; keep to what both know.
 */
import { type Kysely, sql } from "kysely";
import { tenants } from "./migrations/0003_tenants.ts";
import { instances } from "./migrations/0004_instances.ts";
import { relayRegions } from "./migrations/0005_relay_regions.ts";
import { signIn } from "./migrations/0008_sign_in.ts";
import { devicePaths } from "./migrations/0007_device_paths.ts";
import { auditLog } from "./migrations/0009_audit_log.ts";
import { relaySamples } from "./migrations/0010_relay_samples.ts";

/** One step. It runs in a transaction, with the others that a database misses. */
export interface Migration {
  up(db: Kysely<unknown>): Promise<void>;
}

const initial: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // Written as SQL: the tables use WITHOUT ROWID and partial indexes, which the builder cannot say.
    for (const statement of INITIAL) await sql.raw(statement).execute(db);
  },
};

const INITIAL = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID`,
  `CREATE TABLE revisions (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID`,
  `INSERT INTO revisions (name, value) VALUES
     ('devices', 0), ('device_metadata', 0), ('security_groups', 0), ('vpcs', 0)`,
  `CREATE TABLE users (
     id TEXT PRIMARY KEY, username TEXT NOT NULL UNIQUE, full_name TEXT NOT NULL,
     picture TEXT NOT NULL, password_hash TEXT NOT NULL, created_at TEXT NOT NULL)`,
  `CREATE TABLE organizations (
     id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
     created_at TEXT NOT NULL)`,
  `CREATE TABLE memberships (
     user_id TEXT NOT NULL REFERENCES users (id),
     organization_id TEXT NOT NULL REFERENCES organizations (id),
     roles_json TEXT NOT NULL, PRIMARY KEY (user_id, organization_id)) WITHOUT ROWID`,
  `CREATE TABLE vpcs (
     id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organizations (id),
     description TEXT NOT NULL, private_cidr INTEGER NOT NULL,
     ipv4_cidr TEXT NOT NULL, ipv6_cidr TEXT NOT NULL,
     revision INTEGER NOT NULL, deleted_at TEXT)`,
  `CREATE TABLE security_groups (
     id TEXT PRIMARY KEY, vpc_id TEXT NOT NULL REFERENCES vpcs (id), description TEXT NOT NULL,
     inbound_rules_json TEXT, outbound_rules_json TEXT,
     revision INTEGER NOT NULL, deleted_at TEXT)`,
  `CREATE INDEX security_groups_watch ON security_groups (vpc_id, revision)`,
  `CREATE TABLE reg_keys (
     id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES users (id),
     vpc_id TEXT REFERENCES vpcs (id), token_hash TEXT NOT NULL UNIQUE,
     description TEXT NOT NULL, device_id TEXT, used_at TEXT, expires_at TEXT,
     security_group_id TEXT REFERENCES security_groups (id), settings_json TEXT,
     created_at TEXT NOT NULL, deleted_at TEXT)`,
  `CREATE TABLE devices (
     id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES users (id),
     vpc_id TEXT NOT NULL REFERENCES vpcs (id), reg_key_id TEXT REFERENCES reg_keys (id),
     public_key TEXT NOT NULL, token_hash TEXT NOT NULL, token_generation INTEGER NOT NULL,
     ipv4_address TEXT NOT NULL, ipv4_cidr TEXT NOT NULL,
     ipv6_address TEXT NOT NULL, ipv6_cidr TEXT NOT NULL,
     advertise_cidrs_json TEXT, relay INTEGER NOT NULL, symmetric_nat INTEGER NOT NULL,
     hostname TEXT NOT NULL, os TEXT NOT NULL, endpoints_json TEXT,
     security_group_id TEXT NOT NULL REFERENCES security_groups (id),
     online INTEGER NOT NULL, online_at TEXT,
     revision INTEGER NOT NULL, created_at TEXT NOT NULL, deleted_at TEXT)`,
  `CREATE UNIQUE INDEX devices_public_key ON devices (public_key) WHERE deleted_at IS NULL`,
  `CREATE UNIQUE INDEX devices_token ON devices (token_hash) WHERE deleted_at IS NULL`,
  `CREATE INDEX devices_watch ON devices (vpc_id, revision)`,
  `CREATE INDEX devices_owner ON devices (owner_id, hostname) WHERE deleted_at IS NULL`,
  `CREATE INDEX devices_online ON devices (id) WHERE online = 1`,
  `CREATE TABLE device_departures (
     vpc_id TEXT NOT NULL REFERENCES vpcs (id), device_id TEXT NOT NULL REFERENCES devices (id),
     revision INTEGER NOT NULL, device_json TEXT NOT NULL,
     PRIMARY KEY (vpc_id, device_id)) WITHOUT ROWID`,
  `CREATE INDEX device_departures_watch ON device_departures (vpc_id, revision)`,
  `CREATE TABLE device_metadata (
     device_id TEXT NOT NULL REFERENCES devices (id), key TEXT NOT NULL,
     vpc_id TEXT NOT NULL REFERENCES vpcs (id), value_json TEXT NOT NULL,
     revision INTEGER NOT NULL, deleted_at TEXT, PRIMARY KEY (device_id, key)) WITHOUT ROWID`,
  `CREATE INDEX device_metadata_watch ON device_metadata (vpc_id, revision)`,
  `CREATE TABLE address_pools (
     namespace TEXT NOT NULL, family INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,
     PRIMARY KEY (namespace, family)) WITHOUT ROWID`,
  `CREATE TABLE address_gaps (
     namespace TEXT NOT NULL, family INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,
     PRIMARY KEY (namespace, family, first)) WITHOUT ROWID`,
  `CREATE TABLE advertised_cidrs (
     vpc_id TEXT NOT NULL REFERENCES vpcs (id), family INTEGER NOT NULL,
     first TEXT NOT NULL, last TEXT NOT NULL, device_id TEXT NOT NULL REFERENCES devices (id),
     PRIMARY KEY (vpc_id, family, first, last, device_id)) WITHOUT ROWID`,
  `CREATE INDEX advertised_cidrs_device ON advertised_cidrs (device_id)`,
];

const accounts: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of ACCOUNTS) await sql.raw(statement).execute(db);
  },
};

const ACCOUNTS = [
  // Who signs in here is one thing, the user of the API another: a user may be deleted and made
  // again for the same account, and an account of another issuer has a user too.
  `CREATE TABLE accounts (
     id TEXT PRIMARY KEY, username TEXT NOT NULL UNIQUE, full_name TEXT NOT NULL,
     email TEXT NOT NULL, password_hash TEXT NOT NULL, generation INTEGER NOT NULL,
     created_at TEXT NOT NULL)`,
  `INSERT INTO accounts SELECT id, username, full_name, '', password_hash, 1, created_at FROM users`,
  `ALTER TABLE users ADD COLUMN subject TEXT`,
  `UPDATE users SET subject = id`,
  `CREATE UNIQUE INDEX users_subject ON users (subject)`,
  `ALTER TABLE users DROP COLUMN password_hash`,
  `CREATE TABLE signing_keys (generation INTEGER PRIMARY KEY, created_at TEXT NOT NULL)`,
  `CREATE TABLE device_codes (
     code_hash TEXT PRIMARY KEY, user_code TEXT NOT NULL UNIQUE, client_id TEXT NOT NULL,
     scope TEXT NOT NULL, device_name TEXT NOT NULL, address TEXT NOT NULL,
     account_id TEXT REFERENCES accounts (id), denied INTEGER NOT NULL,
     created_at TEXT NOT NULL, expires_at TEXT NOT NULL) WITHOUT ROWID`,
  `CREATE INDEX device_codes_expiry ON device_codes (expires_at)`,
  `CREATE TABLE ended_sessions (
     id TEXT PRIMARY KEY, expires_at TEXT NOT NULL) WITHOUT ROWID`,
];

/**
 * Every migration of this version, by name; the names sort in the order of their making. A static
 * list, so that a compiled or bundled program carries it.
 */
export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  "0001_initial": initial,
  "0002_accounts": accounts,
  "0003_tenants": tenants,
  "0004_instances": instances,
  "0005_relay_regions": relayRegions,
  "0008_sign_in": signIn,
  "0007_device_paths": devicePaths,
  "0009_audit_log": auditLog,
  "0010_relay_samples": relaySamples,
};
