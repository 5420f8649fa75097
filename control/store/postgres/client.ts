import { nextTick } from "node:process";
// @ts-types="./pg.d.ts"
import pg, { type ClientConfig, type QueryResult } from "pg";
import type { PostgresAddress } from "./address.ts";

/** Longest time of one statement, of a wait for a lock, and of a pause inside a transaction, ms. */
const STATEMENT_MS = 15_000, LOCK_MS = 10_000, IDLE_MS = 7_000;
/** Statements that stay prepared in a connection. */
const MAX_NAMED = 512;

/** Names of statements, the same in every connection. */
const names = new Map<string, string>();
let generation = 0;

/** int8 and numeric: what counts and sums are; the API's numbers are all far below 2^53. */
const NUMBERS = new Set([20, 1700]);

const types = {
  getTypeParser: (oid: number, format?: "text" | "binary") =>
    NUMBERS.has(oid) && format !== "binary" ? Number : pg.types.getTypeParser(oid, format),
};

/**
 * A connection that prepares each statement on data once, which halves what a query costs, and sends
 * those that are made at the same time in one write.
 *
 * When another version has changed a table, a prepared `select *` fails: then all get new names.
 */
export class Client extends pg.Client {
  #corked = false;

  constructor(config: ClientConfig) {
    super(config);
    // The pool listens to idle connections alone. One that is lost between two queries of a
    // transaction would end the process if nobody listened; the next query tells of it.
    this.on("error", () => {});
  }

  override query(
    query: string | { name: string; text: string; values: readonly unknown[] },
    values?: readonly unknown[],
    callback?: unknown,
  ): Promise<QueryResult> {
    const name = typeof query === "string" && values !== undefined && callback === undefined
      ? nameOf(query)
      : undefined;
    this.#cork();
    if (name === undefined) return super.query(query, values, callback);
    return super.query({ name, text: query as string, values: values! })
      .catch((error: { code?: string }) => {
        if (error.code === "0A000") {
          generation++;
          names.clear();
        }
        throw error;
      });
  }

  /** Keeps what is sent until the code that runs has made all the queries that it can. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    const { stream } = this.connection;
    stream.cork();
    nextTick(() => {
      this.#corked = false;
      stream.uncork();
    });
  }
}

function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined) return known;
  if (names.size >= MAX_NAMED || !/^\s*(select|insert|update|delete|with)\b/i.test(text)) {
    return undefined;
  }
  const name = `nexd_${generation}_${names.size}`;
  names.set(text, name);
  return name;
}

/** How to connect. `patient`: without limits of time, for work on whole tables. */
export function clientConfig(address: PostgresAddress, patient = false): ClientConfig {
  const { host, port, user, database, ssl } = address;
  return {
    host,
    port,
    ...(user === undefined ? {} : { user }),
    ...(address.password === undefined ? {} : { password: address.password }),
    database,
    ssl,
    application_name: address.applicationName,
    connectionTimeoutMillis: address.connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    types,
    ...(patient ? {} : {
      statement_timeout: STATEMENT_MS,
      query_timeout: STATEMENT_MS + 2_000,
      lock_timeout: LOCK_MS,
      // A control plane that stands still must not keep the others from writing.
      idle_in_transaction_session_timeout: IDLE_MS,
    }),
  };
}
