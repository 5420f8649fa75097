/**
 * The control plane as the agent sees it: API calls, the watch stream and the cache behind it.
 *
 * @module
 */
export { Backoff, pause } from "./backoff.ts";
export { WatchCache } from "./cache.ts";
export { type Api, ApiClient, type ApiClientOptions } from "./client.ts";
export { DecodeError, isJsonSpace, JsonObjectDecoder } from "./decoder.ts";
export { ApiFailure, type FailureKind } from "./failure.ts";
export { runWatch, type WatchState } from "./watch.ts";
export { isObject, parseDevice, parseMetadata, parseVpc } from "./wire.ts";
