/**
 * The watch: the stream of what changes in the VPC, resumed for ever, and the cache behind it.
 *
 * @module
 */
export { Backoff, pause } from "./backoff.ts";
export { WatchCache } from "./cache.ts";
export { DecodeError, JsonObjectDecoder } from "./decoder.ts";
export { learnRelayRegions } from "./relay_regions.ts";
export { runWatch, type WatchState } from "./watch.ts";
