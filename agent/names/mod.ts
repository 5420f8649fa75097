/**
 * Names that must resolve on this host to a given address: pinned in the hosts file, in a block of
 * the agent's own.
 *
 * @module
 */
export { hostsFile } from "./room.ts";
