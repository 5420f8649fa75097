/**
 * Limits on who may connect.
 *
 * @module
 */
export { isLoopback, siteOf, unmapped } from "./address.ts";
export {
  DEFAULT_PER_ADDRESS,
  DEFAULT_UNFINISHED,
  Gate,
  type GateCounters,
  type GateOptions,
  isTls,
  type Visit,
} from "./gate.ts";
export { RateLimit } from "./rate.ts";
