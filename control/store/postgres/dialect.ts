import {
  CompiledQuery,
  type DatabaseConnection,
  type KyselyPlugin,
  type PluginTransformQueryArgs,
  PostgresDialect,
  type PostgresDialectConfig,
  PostgresDriver,
  type QueryResult,
  type RootOperationNode,
  type TransactionSettings,
  type UnknownRow,
} from "kysely";

import { NoConnection } from "../unavailable.ts";
import { WRITE_LOCK } from "./locks.ts";

/**
 * PostgreSQL as the store needs it: one write transaction at a time, whoever begins it.
 *
 * The lock comes before anything is read, and each statement of READ COMMITTED sees what was committed
 * before it; so work inside a transaction sees all that earlier ones wrote, as with SQLite, and a
 * revision is never committed after a higher one.
 */
export class Dialect extends PostgresDialect {
  readonly #config: PostgresDialectConfig;

  constructor(config: PostgresDialectConfig) {
    super(config);
    this.#config = config;
  }

  override createDriver(): PostgresDriver {
    return new Driver(this.#config);
  }
}

/** The driver's own kind of connection, which it does not name. */
type Connection = Parameters<PostgresDriver["rollbackTransaction"]>[0];

class Driver extends PostgresDriver {
  /** Whatever keeps it from a connection is nothing that a request could be blamed for. */
  override async acquireConnection(
    ...options: Parameters<PostgresDriver["acquireConnection"]>
  ): Promise<DatabaseConnection> {
    try {
      return await super.acquireConnection(...options);
    } catch (error) {
      throw new NoConnection(error);
    }
  }

  override async beginTransaction(
    connection: Connection,
    settings: TransactionSettings,
  ): Promise<void> {
    if (settings.accessMode !== undefined || settings.isolationLevel !== undefined) {
      return await super.beginTransaction(connection, settings);
    }
    try {
      await connection.executeQuery(
        CompiledQuery.raw(`begin; select pg_advisory_xact_lock(${WRITE_LOCK})`),
      );
    } catch (error) {
      await this.rollbackTransaction(connection);
      throw error;
    }
  }

  override async rollbackTransaction(connection: Connection): Promise<void> {
    try {
      await super.rollbackTransaction(connection);
    } catch {
      // The connection is lost, and with it the transaction; what was thrown first says why.
    }
  }
}

const TYPES: Readonly<Record<string, string>> = {
  // Compared byte by byte, as SQLite does; the order of a locale is another on every server.
  TEXT: 'TEXT COLLATE "C"',
  INTEGER: "BIGINT",
  BLOB: "BYTEA",
};

/** Turns the SQL of a migration, which is written for SQLite, into PostgreSQL's. */
export class MigrationPlugin implements KyselyPlugin {
  transformQuery({ node }: PluginTransformQueryArgs): RootOperationNode {
    if (node.kind !== "RawNode") return node;
    return { ...node, sqlFragments: node.sqlFragments.map(toPostgres) };
  }

  transformResult({ result }: { result: QueryResult<UnknownRow> }): Promise<
    QueryResult<UnknownRow>
  > {
    return Promise.resolve(result);
  }
}

/** The same statement for PostgreSQL. */
export function toPostgres(statement: string): string {
  return statement.replace(/\s*\bWITHOUT ROWID\b/g, "")
    .replace(/\b(TEXT|INTEGER|BLOB)\b/g, (type) => TYPES[type]!);
}
