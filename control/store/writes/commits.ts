import { setImmediate } from "node:timers";
import { CompiledQuery, type Transaction } from "kysely";
import type { Backend, Change } from "../backend.ts";
import { HeldRows, type RowSource } from "./held_rows.ts";
import { type Note, writeNotes } from "./notes.ts";
import { together } from "../queries.ts";
import type { RevisionName, Tables } from "../tables.ts";
import { isLocked } from "../unavailable.ts";

/** Stock agents read revisions as signed 32-bit numbers. */
const MAX_REVISION = 2 ** 31 - 1;

/** In place of one organization's id: the audit log of all of them. */
export const EVERY_ORGANIZATION = "*";

/** What shares one commit: at most so many pieces of work, begun within so many ms. */
const MAX_BATCH = 50, BATCH_MS = 10;
/** How long a locked database is tried again before it is an error, and the longest pause, ms. */
const LOCKED_MS = 5_000, LOCKED_PAUSE = 100;
const SAVE = CompiledQuery.raw("savepoint work");
const TAKE_BACK = CompiledQuery.raw("rollback to savepoint work");
/** Pieces of work that may wait; more come than the disk can take. */
const MAX_WAITING = 20_000;

/** A write transaction. Use `db` for everything in it: the store's own `db` would wait for its end. */
export class Write {
  readonly db: Transaction<Tables>;
  readonly changes = new Map<string, Change>();
  /** What the audit log gets; without it the change is not committed either. */
  readonly notes: Note[] = [];

  /** Rows that the other pieces of work of the transaction change, too. */
  readonly held: HeldRows;

  constructor(db: Transaction<Tables>, held: HeldRows) {
    this.db = db;
    this.held = held;
  }

  /** The next revision of a kind; watchers of the VPC are told once the transaction is committed. */
  async revision(kind: RevisionName, vpcId: string): Promise<number> {
    const value = await this.held.change(
      `revision ${kind}`,
      revisionRow(this.db, kind),
      (value) => {
        if (value >= MAX_REVISION) {
          throw new Error(`the revisions of ${kind} are used up: ${MAX_REVISION}`);
        }
        return [value + 1, value + 1];
      },
    );
    this.touched(kind, vpcId);
    return value;
  }

  /** Tells watchers of a VPC without a new revision: for rows whose revision another call took. */
  touched(kind: RevisionName, vpcId: string): void {
    this.changes.set(`${kind} ${vpcId}`, { kind, vpcId });
  }

  /** Adds a row to the audit log, and tells those who watch it. */
  note(note: Note): void {
    this.notes.push(note);
    this.touched("audit_log", note.organization_id);
    this.touched("audit_log", EVERY_ORGANIZATION);
  }

  /** Tells those who look at a VPC's paths, once the transaction is committed, that they are other ones. */
  rerouted(vpcId: string): void {
    this.changes.set(`paths ${vpcId}`, { kind: "paths", vpcId });
  }

  /** Ends the streams of a device or a user, once the transaction is committed: it may see less now. */
  ended(callerId: string): void {
    this.changes.set(`callers ${callerId}`, { kind: "callers", vpcId: callerId });
  }
}

function revisionRow(db: Transaction<Tables>, kind: RevisionName): RowSource<number> {
  return {
    load: async () => {
      const row = await db.selectFrom("revisions").select("value").where("name", "=", kind)
        .executeTakeFirstOrThrow();
      return row.value;
    },
    save: (value) => db.updateTable("revisions").set({ value }).where("name", "=", kind).execute(),
  };
}

/** A piece of work that waits for its turn. */
interface Waiting {
  work: (write: Write) => Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

/** What has become of a piece of work, to be told after the commit. */
type Settle = () => void;

/**
 * Runs pieces of work one after the other, each in full or not at all, and commits those that wait at
 * the same time together: what a commit costs (a wait for the disk) is then shared by them. Nobody is
 * told of a result before it is on the disk.
 */
export class Commits {
  /** Since the start: transactions, pieces of work in them, those that failed, and time in them, s. */
  readonly stats = { transactions: 0, writes: 0, failed: 0, seconds: 0 };
  readonly #backend: Backend;
  readonly #told: (changes: readonly Change[]) => void;
  readonly #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(backend: Backend, told: (changes: readonly Change[]) => void) {
    this.#backend = backend;
    this.#told = told;
  }

  run<T>(work: (write: Write) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#waiting.length >= MAX_WAITING) {
        return reject(new Error("too many writes wait for the database"));
      }
      this.#waiting.push({ work, resolve: resolve as (value: unknown) => void, reject });
      this.#running ??= this.#drain();
    });
  }

  /** How many pieces of work wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #drain(): Promise<void> {
    // Requests that have arrived already get to the same commit.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const batch: Waiting[] = [];
      const since = performance.now();
      try {
        const { settle, changes } = await this.#commit(batch);
        this.stats.transactions++;
        this.stats.writes += batch.length;
        this.#told(changes);
        for (const tell of settle) tell();
      } catch (error) {
        this.stats.failed++;
        for (const { reject } of batch) reject(error);
      } finally {
        this.stats.seconds += (performance.now() - since) / 1000;
      }
    }
    this.#running = undefined;
  }

  /** One transaction with the work that waits, which it moves to `batch`; tried again while locked. */
  async #commit(batch: Waiting[]): Promise<{ settle: Settle[]; changes: Change[] }> {
    const since = performance.now();
    for (let pause = 5;; pause = Math.min(pause * 2, LOCKED_PAUSE)) {
      try {
        const work = (db: Transaction<Tables>) => this.#batch(db, batch);
        const { db, pipelined } = this.#backend;
        return await (pipelined ? pipelined(work) : db.transaction().execute(work));
      } catch (error) {
        if (batch.length > 0) throw error;
        // It could not even begin. Whoever waits is told when it has been long enough.
        if (!isLocked(error) || performance.now() - since > LOCKED_MS) {
          batch.push(...this.#waiting.splice(0));
          throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  async #batch(
    db: Transaction<Tables>,
    batch: Waiting[],
  ): Promise<{ settle: Settle[]; changes: Change[] }> {
    const settle: Settle[] = [];
    const changes = new Map<string, Change>();
    const notes: Note[] = [];
    const held = new HeldRows();
    const end = performance.now() + BATCH_MS;
    do {
      const next = this.#waiting.shift()!;
      batch.push(next);
      const write = new Write(db, held);
      const takeBack = held.mark();
      // The first needs no savepoint: when it fails there is nothing else to keep. None is released,
      // which would cost another round trip: the last one of a name counts.
      const saved = batch.length > 1;
      const saving = saved ? db.executeQuery(SAVE) : undefined;
      // The work's own queries follow it on the same wire; else it is waited for.
      if (this.#backend.pipelined) saving?.catch(() => {});
      else await saving;
      try {
        const value = await next.work(write);
        settle.push(() => next.resolve(value));
        for (const [name, change] of write.changes) changes.set(name, change);
        for (const note of write.notes) notes.push(note);
      } catch (error) {
        if (!saved) throw error;
        // Where the database has given up the whole transaction, this throws and all of it fails.
        await db.executeQuery(TAKE_BACK).catch(() => Promise.reject(error));
        takeBack();
        settle.push(() => next.reject(error));
      }
    } while (this.#waiting.length > 0 && batch.length < MAX_BATCH && performance.now() < end);
    const all = [...changes.values()];
    await together(
      held.saveAll(),
      writeNotes(db, notes),
      (all.length > 0 && this.#backend.announce?.(db, all)) || Promise.resolve(),
    );
    return { settle, changes: all };
  }
}
