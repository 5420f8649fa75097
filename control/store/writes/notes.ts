/** The rows of the audit log that a transaction leaves, written at its end. */
import type { Transaction } from "kysely";
import type { AuditRow, Tables } from "../tables.ts";

/** A row before it is written. */
export interface Note extends Omit<AuditRow, "id" | "at" | "actor_name"> {
  /** Undefined for a user's that is looked up. */
  actor_name: string | undefined;
}

/** Rows of one statement: SQLite takes 32,766 parameters. */
const CHUNK = 500;

/**
 * Writes notes, with the next numbers and the time of now; several pieces of work share the statements.
 * Whoever reads rows up to the newest number has missed none: transactions are serial.
 */
export async function writeNotes(db: Transaction<Tables>, notes: readonly Note[]): Promise<void> {
  if (notes.length === 0) return;
  const names = await userNames(db, notes);
  const { value } = await db.updateTable("revisions")
    .set((eb) => ({ value: eb("value", "+", notes.length) })).where("name", "=", "audit_log")
    .returning("value").executeTakeFirstOrThrow();
  const at = new Date().toISOString();
  const rows = notes.map((note, i): AuditRow => ({
    ...note,
    id: value - notes.length + 1 + i,
    at,
    actor_name: note.actor_name ?? names.get(note.actor_id) ?? "",
  }));
  for (let i = 0; i < rows.length; i += CHUNK) {
    await db.insertInto("audit_log").values(rows.slice(i, i + CHUNK)).execute();
  }
}

async function userNames(
  db: Transaction<Tables>,
  notes: readonly Note[],
): Promise<Map<string, string>> {
  const unnamed = notes.filter((note) => note.actor_name === undefined);
  const ids = [...new Set(unnamed.map((note) => note.actor_id))];
  const names = new Map<string, string>();
  for (let i = 0; i < ids.length; i += CHUNK) {
    const rows = await db.selectFrom("users").select(["id", "username"])
      .where("id", "in", ids.slice(i, i + CHUNK)).execute();
    for (const { id, username } of rows) names.set(id, username);
  }
  return names;
}
