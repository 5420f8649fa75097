/**
 * The store on PostgreSQL: several control planes on one database.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { Kysely, type PostgresPool, sql, Transaction } from "kysely";
// @ts-types="./pg.d.ts"
import pg from "pg";
import { ControlError } from "../../errors.ts";
import type { Backend } from "../backend.ts";
import { type Bookkeeping, migrate, pending } from "../migrate.ts";
import type { Tables } from "../tables.ts";
import { NoConnection } from "../unavailable.ts";
import { parsePostgresUrl, type PostgresAddress } from "./address.ts";
import { Client, clientConfig } from "./client.ts";
import { Dialect, MigrationPlugin } from "./dialect.ts";
import { announce, Listener } from "./listener.ts";
import { MIGRATION_LOCK } from "./locks.ts";

export { isPostgresUrl, parsePostgresUrl } from "./address.ts";
export { Client, clientConfig } from "./client.ts";
export { MIGRATION_LOCK, RUNNING_LOCK, WRITE_LOCK } from "./locks.ts";

const log = getLogger(["nexd", "control", "store"]);

/** Connections of one control plane: one writes, the others read. */
const CONNECTIONS = 10;
/** Connections that are idle go after this time, ms. */
const IDLE_MS = 60_000;
/** How long an answer to `ready` may take, ms. */
const READY_MS = 2_000;

/** ControlError, exit code 2, for a URL that cannot be used. */
export function checkPostgresUrl(url: string): void {
  parsePostgresUrl(url);
}

/**
 * Connects to the database at a URL (see `parsePostgresUrl`) and brings its tables up to date; of
 * several that start together, one does. ControlError when it cannot be used.
 */
export async function openPostgres(url: string): Promise<Backend> {
  const address = parsePostgresUrl(url);
  await bringUpToDate(address);
  const pool = new pg.Pool({
    ...clientConfig(address),
    pipeline: true,
    Client,
    max: CONNECTIONS,
    idleTimeoutMillis: IDLE_MS,
  });
  pool.on("error", (error) => {
    log.debug("an idle connection to the database is lost: {error}", { error: error.message });
  });
  const dialect = new Dialect({ pool: pool as unknown as PostgresPool });
  const db = new Kysely<Tables>({ dialect });
  const self = crypto.randomUUID();
  let listener: Listener | undefined;
  return {
    kind: "postgres",
    db,
    pipelined: (work) =>
      db.transaction().execute((serial) => {
        // It would send a query only when the one before has been answered.
        const executor = serial.getExecutor();
        return executor.provideConnection((connection) => {
          const free = executor.withConnectionProvider({
            provideConnection: (use) => use(connection),
          });
          const driver = dialect.createDriver();
          const config = { dialect };
          return work(new Transaction<Tables>({ config, dialect, driver, executor: free }));
        });
      }),
    announce: (transaction, changes) => announce(transaction, self, changes),
    async listen(hear) {
      listener = new Listener(address, self, hear);
      await listener.start();
    },
    pool: () => ({ open: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    ready: () => answers(db),
    async close() {
      await listener?.close();
      await db.destroy();
    },
  };
}

async function answers(db: Kysely<Tables>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), READY_MS);
  });
  const answer = sql`select 1`.execute(db).then(() => true, () => false);
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function bringUpToDate(address: PostgresAddress): Promise<void> {
  await connectOnce(address, async (db) => {
    await db.transaction().setIsolationLevel("read committed").execute(async (transaction) => {
      await sql`select pg_advisory_xact_lock(${sql.lit(MIGRATION_LOCK)})`.execute(transaction);
      const { missing } = await pending(transaction, address.shown);
      if (missing.length > 0) await migrate(transaction, address.shown);
    });
  });
}

/**
 * Connects for one piece of work on whole tables, without limits of time; SQL of migrations is
 * translated. ControlError when there is no connection.
 */
export async function connectOnce<T>(
  address: PostgresAddress,
  work: (db: Kysely<Bookkeeping>) => Promise<T>,
): Promise<T> {
  const pool = new pg.Pool({ ...clientConfig(address, true), Client, max: 1 });
  pool.on("error", () => {});
  const db = new Kysely<Bookkeeping>({
    dialect: new Dialect({ pool: pool as unknown as PostgresPool }),
    plugins: [new MigrationPlugin()],
  });
  try {
    return await work(db);
  } catch (error) {
    throw error instanceof ControlError ? error : openError(address, error);
  } finally {
    await db.destroy();
  }
}

function openError(address: PostgresAddress, thrown: unknown): ControlError {
  const error = thrown instanceof NoConnection ? thrown.cause : thrown;
  const { code } = error as { code?: string };
  const detail = error instanceof Error ? error.message : String(error);
  const because = (remedy: string) =>
    new ControlError(`Cannot use the database at ${address.shown}: ${detail}; ${remedy}`, {
      cause: error,
    });
  if (/does not support SSL/.test(detail)) {
    return because("add ?sslmode=disable to --database-url if nobody else is on the way to it");
  }
  switch (code) {
    case "3D000":
      return because("make it with createdb, owned by that user");
    case "28P01":
    case "28000":
      return because("check the user and the password in --database-url");
    case "42501":
      return because("let that user make tables: GRANT CREATE ON SCHEMA public TO …");
    case "57P03":
    case "53300":
      return because("try again in a moment");
  }
  return because("check that it runs and --database-url leads to it");
}
