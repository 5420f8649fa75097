/**
 * The DERP relay server, `nexd relayderp`.
 *
 * @module
 */
export { RelayError } from "./errors.ts";
export { type Relay, type RelayConfig, startRelay } from "./relay.ts";
export {
  checkRelayFlags,
  type CommandContext,
  type GuestService,
  type Onboard,
  runRelay,
  type Values,
} from "./command/mod.ts";
export type { Limits } from "./server/mod.ts";
export { runWorker } from "./worker/mod.ts";
