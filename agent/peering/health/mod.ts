/**
 * What is known of a path: how it is, what became of it, and when to look for a better one.
 *
 * @module
 */
export { withEvent } from "./events.ts";
export {
  assess,
  followTraffic,
  HANDSHAKE_LIFE,
  type Health,
  isDumb,
  NEVER_HEALTHY_LIMIT,
  PROBE_LIMIT,
  SUSPECT_AFTER,
  WAS_HEALTHY_LIMIT,
} from "./health.ts";
export { isAway, PATIENCE, rests } from "./rest.ts";
export { PROBE_INTERVAL, slotOf, startOfSlot } from "./slots.ts";
