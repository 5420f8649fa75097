/**
 * What a database holds, read at one moment and written into another, of either kind.
 *
 * @module
 */
export type { TableInfo } from "./catalog.ts";
export { type Content, type Insert, loadPostgres, loadSqlite } from "./load.ts";
export { noteIn } from "./note.ts";
export { openSnapshot, type Snapshot } from "./snapshot.ts";
