/**
 * Who is connected: keys, their connections, which of them packets go to, and who watches that.
 *
 * @module
 */
export { type Carrier, type Member, Peer } from "./peer.ts";
export { Registry } from "./registry.ts";
export { type Telling, Watcher, type WatcherOutput, Watchers } from "./watchers.ts";
