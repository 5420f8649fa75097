/**
 * Write transactions: pieces of work that share commits, what each leaves in the audit log, and rows
 * that all of them change.
 *
 * @module
 */
export { Commits, EVERY_ORGANIZATION, Write } from "./commits.ts";
export type { RowSource } from "./held_rows.ts";
export { type Note, writeNotes } from "./notes.ts";
