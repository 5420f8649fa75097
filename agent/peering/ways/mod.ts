/**
 * The ways to a peer: which there are and when each can be used, how the VPC's relay is, what probes say
 * of them, and why a better one is not in use.
 *
 * @module
 */
export { type BetterWay, explainer } from "./explain.ts";
export {
  type Method,
  type MethodContext,
  methodOf,
  METHODS,
  nameOf,
  type Verdict,
  type VpcRelay,
} from "./methods.ts";
export {
  type Confirmed,
  confirmed,
  deadAt,
  holdAfter,
  isBetter,
  isLoopback,
  methodAt,
  probesFor,
} from "./probed.ts";
export {
  chooseCarrier,
  markOf,
  relayedPrefixes,
  type RelayState,
  renewSession,
  viewOf,
} from "./vpc_relay.ts";
