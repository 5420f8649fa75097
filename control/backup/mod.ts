/**
 * Backups: the whole state of a control plane in one file, from either kind of database, and back into
 * either.
 *
 * @module
 */
export { type BackupContext, placeOf, runBackup, runRestore } from "./commands.ts";
export { backUp } from "./backup.ts";
export { restore } from "./restore.ts";
export { finishReplacing } from "./swap.ts";
