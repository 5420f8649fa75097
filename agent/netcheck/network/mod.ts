/**
 * Noticing that this host is in another network.
 *
 * @module
 */
export { type NetworkWatch, type NetworkWatchOptions, watchNetwork } from "./watch.ts";
