/**
 * Watch streams: what changed in a VPC, told to its members as it happens.
 *
 * @module
 */
export { Feed } from "./feed.ts";
export { DEFAULT_ONLINE_TIMES, type OnlineTimes, OnlineTracker } from "./online.ts";
export { DEFAULT_STREAM_LIMITS, type StreamLimits, StreamRegistry } from "./registry.ts";
export { type Entry, type Topic } from "./source.ts";
export { DEFAULT_STREAM_TIMES, EventStream, StreamEnded, type StreamTimes } from "./stream.ts";
export { type Decorate, type WatchRequest } from "./watch.ts";
