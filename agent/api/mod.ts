/**
 * The control plane as the agent sees it: API calls, the watch stream and the cache behind it.
 *
 * @module
 */
export type { Api } from "./calls.ts";
export { ApiClient } from "./client.ts";
export { ApiFailure } from "./failure.ts";
export { chunksOf } from "./body.ts";
export { type Transport, unverifiedTransport } from "./transport.ts";
export {
  Backoff,
  DecodeError,
  JsonObjectDecoder,
  learnRelayRegions,
  pause,
  runWatch,
  WatchCache,
  type WatchState,
} from "./watch/mod.ts";
export {
  isObject,
  parseDevice,
  parseMetadata,
  parseRelayRegion,
  parseSecurityGroup,
  parseUser,
  parseVpc,
} from "./wire.ts";
