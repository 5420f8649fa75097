/**
 * The public relays that agents of this control plane are told of: kept, changed by its operator, shown
 * as a DERP map, and looked at now and then.
 *
 * @module
 */
export { type DerpMap, derpMap } from "./derp_map.ts";
export type { Reading } from "./load.ts";
export { type OwnRelay, publishOwnRelay } from "./own.ts";
export { DEFAULT_PROBE_TIMES, type ProbeTimes, RelayProber } from "./prober.ts";
export {
  addRelayRegion,
  BUILT_IN,
  deleteRelayRegion,
  listRelayRegions,
  relayRegion,
  updateRelayRegion,
} from "./regions.ts";
export { loadsNow, trendOf } from "./samples.ts";
