/** Stores for tests: in memory, or in databases of the PostgreSQL server at NEXD_TEST_POSTGRES. */
// @ts-types="./postgres/pg.d.ts"
import pg, { type Client } from "pg";
import { migrationNames } from "./migrate.ts";
import { parsePostgresUrl } from "./postgres/address.ts";
import { clientConfig } from "./postgres/client.ts";
import { Store } from "./store.ts";

/** First half of the number of the locks that say which database is in use. */
const SLOTS = 0x6e657864;

/** An empty store of the test's own. */
export async function openTestStore(): Promise<Store> {
  const server = Deno.env.get("NEXD_TEST_POSTGRES");
  if (server === undefined || server === "") return await Store.open(":memory:");
  const database = await takeDatabase(server);
  const store = await Store.open(database.url);
  const close = store.close.bind(store);
  store.close = async () => {
    await close();
    await database.release();
  };
  return store;
}

/**
 * An empty database, with all tables, that nobody else uses until it is released. Making one takes
 * long, so they stay, as `nexd_test_N`, for the next test.
 */
export async function takeDatabase(
  server: string,
): Promise<{ url: string; release(): Promise<void> }> {
  const keeper = await connect(server);
  for (let slot = 1;; slot++) {
    const { rows } = await keeper.query("SELECT pg_try_advisory_lock($1, $2) AS mine", [
      SLOTS,
      slot,
    ]);
    if (rows[0].mine !== true) continue;
    const url = withDatabase(server, `nexd_test_${slot}`);
    if (!await isCurrent(keeper, url, `nexd_test_${slot}`)) {
      await make(keeper, url, `nexd_test_${slot}`);
    }
    await empty(url);
    return { url, release: () => keeper.end() };
  }
}

/** The same server's URL, with another database. */
export function withDatabase(server: string, name: string): string {
  return server.replace(/\/[^/?]*(\?|$)/, `/${name}$1`);
}

async function isCurrent(keeper: Client, url: string, name: string): Promise<boolean> {
  const { rowCount } = await keeper.query("SELECT 1 FROM pg_database WHERE datname = $1", [name]);
  if (rowCount === 0) return false;
  const client = await connect(url);
  try {
    const { rows } = await client.query("SELECT name FROM seed.kysely_migration ORDER BY name");
    if (rows.map((row) => row.name).join() !== migrationNames().join()) return false;
    // A test may have dropped a table, to see what happens.
    return (await tables(client)).join() === (await tables(client, "seed")).join();
  } catch {
    return false;
  } finally {
    await client.end();
  }
}

/** Makes a database with all tables, and a copy of what is in them at first. */
async function make(keeper: Client, url: string, name: string): Promise<void> {
  await keeper.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  await keeper.query(`CREATE DATABASE ${name}`);
  await (await Store.open(url)).close();
  const client = await connect(url);
  try {
    await client.query("CREATE SCHEMA seed");
    for (const table of await tables(client)) {
      await client.query(`CREATE TABLE seed.${table} AS TABLE public.${table}`);
    }
  } finally {
    await client.end();
  }
}

async function empty(url: string): Promise<void> {
  const client = await connect(url);
  try {
    const statements = (await tables(client)).map((table) =>
      `DELETE FROM public.${table}; INSERT INTO public.${table} SELECT * FROM seed.${table};`
    );
    // As a replica, which does not check references.
    await client.query(`SET session_replication_role = replica; ${statements.join(" ")}`);
  } finally {
    await client.end();
  }
}

async function tables(client: Client, schema = "public"): Promise<string[]> {
  const { rows } = await client.query(
    "SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY tablename",
    [schema],
  );
  return rows.map((row) => String(row.tablename));
}

async function connect(url: string): Promise<Client> {
  const client = new pg.Client(clientConfig(parsePostgresUrl(url), true));
  await client.connect();
  return client;
}
