import { type Kysely, sql, type Transaction } from "kysely";
import { reasonOf } from "../../../relay/cert/mod.ts";
import { ControlError } from "../../errors.ts";
import { type Note, writeNotes } from "../writes/mod.ts";
import { connectOnce, isPostgresUrl, parsePostgresUrl, WRITE_LOCK } from "../postgres/mod.ts";
import { connectSqlite } from "../sqlite.ts";
import type { Tables } from "../tables.ts";
import { isLocked } from "../unavailable.ts";

/** How long a database that others write is tried again, and how long between, ms. */
const LOCKED_MS = 5_000, PAUSE_MS = 20;

/**
 * Writes a row into the audit log of a database that control planes may be using. One that has no such
 * log, as it is of an older version or none of ours, is left as it is. ControlError when it cannot be
 * written.
 */
export async function noteIn(where: string, note: Note): Promise<void> {
  if (isPostgresUrl(where)) {
    const address = parsePostgresUrl(where);
    await connectOnce(address, async (db) => {
      const tables = db as unknown as Kysely<Tables>;
      if (!await hasLog(tables)) return;
      await tables.transaction().setIsolationLevel("read committed").execute(
        async (transaction) => {
          await sql`select pg_advisory_xact_lock(${sql.lit(WRITE_LOCK)})`.execute(transaction);
          await writeNotes(transaction, [note]);
        },
      );
    });
    return;
  }
  try {
    if (Deno.statSync(where).size === 0) return;
  } catch {
    return;
  }
  const { db } = connectSqlite(where);
  try {
    if (await hasLog(db)) await patiently(db, (transaction) => writeNotes(transaction, [note]));
  } catch (error) {
    throw new ControlError(
      `Cannot write to the audit log in ${where}: ${reasonOf(error)}; ` +
        `run this as the user of the control plane`,
      { cause: error },
    );
  } finally {
    await db.destroy();
  }
}

async function patiently(
  db: Kysely<Tables>,
  work: (transaction: Transaction<Tables>) => Promise<void>,
): Promise<void> {
  for (const since = performance.now();;) {
    try {
      return await db.transaction().execute(work);
    } catch (error) {
      if (!isLocked(error) || performance.now() - since > LOCKED_MS) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

async function hasLog(db: Kysely<Tables>): Promise<boolean> {
  return (await db.introspection.getTables()).some(({ name }) => name === "audit_log");
}
