import type { Kysely, Transaction } from "kysely";
import type { RevisionName, Tables } from "./tables.ts";

/**
 * A change that was committed: rows of this kind in this VPC have new revisions, or, of kind `callers`,
 * the device or user with this id may no longer listen to what it listens to, or, of kind `paths`,
 * devices of this VPC have told of their paths.
 */
export interface Change {
  kind: RevisionName | "callers" | "paths";
  vpcId: string;
}

/** What a listener hears: a change, or that changes may have been missed and anything may be new. */
export type Heard = Change | "everything";

/** How many connections there are, and how many pieces of work wait for one. */
export interface PoolState {
  open: number;
  idle: number;
  waiting: number;
}

/** A database that the store can live in. */
export interface Backend {
  readonly kind: "sqlite" | "postgres";
  /**
   * For reading, and for transactions: `transaction()` waits until no other write transaction is
   * under way, in this process or another, and sees everything that those before it wrote.
   */
  readonly db: Kysely<Tables>;
  /**
   * A transaction of `db` whose queries need not wait for each other: they are sent as they are made, and
   * done in that order. Where that gains nothing there is none.
   */
  pipelined?<T>(work: (db: Transaction<Tables>) => Promise<T>): Promise<T>;
  /** Tells other processes, inside the transaction, what it changes; they hear of it after the commit. */
  announce?(db: Transaction<Tables>, changes: readonly Change[]): Promise<void>;
  /** Calls `hear` with what other processes changed, from now until `close`. */
  listen?(hear: (heard: Heard) => void): Promise<void>;
  /** Connections to the database, where they are several: all, those with nothing to do, and who waits. */
  pool?(): PoolState;
  /** Whether the database answers. */
  ready(): Promise<boolean>;
  close(): Promise<void>;
}
