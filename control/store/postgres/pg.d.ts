/**
 * What is used of the driver. Its own types come with those of another runtime, which would take the
 * place of ours in the whole program.
 */
import type { ConnectionOptions } from "node:tls";

export interface ClientConfig {
  /** Queries are sent without waiting for the answers of those before. */
  pipeline?: boolean;
  host?: string;
  port?: number;
  user?: string;
  password?: string;
  database?: string;
  ssl?: false | ConnectionOptions;
  application_name?: string;
  connectionTimeoutMillis?: number;
  keepAlive?: boolean;
  keepAliveInitialDelayMillis?: number;
  /** Milliseconds, like those below. */
  statement_timeout?: number;
  query_timeout?: number;
  lock_timeout?: number;
  idle_in_transaction_session_timeout?: number;
  types?: { getTypeParser(oid: number, format?: "text" | "binary"): (text: string) => unknown };
}

export interface QueryResult {
  command: string;
  rowCount: number | null;
  // deno-lint-ignore no-explicit-any
  rows: any[];
}

export class Client {
  constructor(config: ClientConfig);
  /** Its socket is another one once TLS has begun. */
  connection: { stream: { cork(): void; uncork(): void } };
  connect(): Promise<void>;
  end(): Promise<void>;
  query(
    query: string | { name: string; text: string; values: readonly unknown[] },
    values?: readonly unknown[],
    callback?: unknown,
  ): Promise<QueryResult>;
  on(event: "error", listener: (error: Error) => void): this;
  on(event: "end", listener: () => void): this;
  on(event: "notification", listener: (message: { payload?: string }) => void): this;
}

export class Pool {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
  constructor(
    config: ClientConfig & { Client?: typeof Client; max?: number; idleTimeoutMillis?: number },
  );
  on(event: "error", listener: (error: Error) => void): this;
  end(): Promise<void>;
}

declare const pg: {
  Client: typeof Client;
  Pool: typeof Pool;
  types: { getTypeParser(oid: number, format?: "text" | "binary"): (text: string) => unknown };
};
export default pg;
