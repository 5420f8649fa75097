/**
 * Numbers of the advisory locks that control planes on one database share: chosen at random once, so
 * that other programs on that database are unlikely to use the same.
 */

/** Held by who writes, until the end of the transaction. */
export const WRITE_LOCK = 5_917_340_021_773;
/** Held by who changes the tables, until the end of the transaction. */
export const MIGRATION_LOCK = 5_917_340_021_774;
/** Shared by control planes that run; who restores a backup takes it alone. */
export const RUNNING_LOCK = 5_917_340_021_775;
