/**
 * The sealed half of a login: the NaCl box and the JSON of ClientInfo and ServerInfo in it.
 *
 * @module
 */

export * from "./agreement.ts";
export * from "./box.ts";
export * from "./info.ts";
