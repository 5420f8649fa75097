/**
 * Who is connected: keys, their connections, and which of them packets go to.
 *
 * @module
 */
export { type Member, Peer } from "./peer.ts";
export { Registry } from "./registry.ts";
