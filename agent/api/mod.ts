/**
 * The control plane as the agent sees it: API calls, the watch stream and the cache behind it.
 *
 * @module
 */
export { Backoff, pause } from "./backoff.ts";
export { WatchCache } from "./cache.ts";
export { type Api, ApiClient } from "./client.ts";
export { DecodeError, JsonObjectDecoder } from "./decoder.ts";
export { ApiFailure } from "./failure.ts";
export { chunksOf } from "./body.ts";
export { type Transport, unverifiedTransport } from "./transport.ts";
export { learnRelayRegions } from "./relay_regions.ts";
export { runWatch, type WatchState } from "./watch.ts";
export {
  isObject,
  parseDevice,
  parseMetadata,
  parseRelayRegion,
  parseSecurityGroup,
  parseUser,
  parseVpc,
} from "./wire.ts";
