/**
 * `nexd relayderp`: from flags to a running relay.
 *
 * @module
 */
export {
  type CommandContext,
  type GuestService,
  type Onboard,
  runRelay,
  type Values,
} from "./run.ts";
export { checkRelayFlags } from "./settings.ts";
