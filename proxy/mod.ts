/**
 * The proxy on a host: WireGuard on loopback endpoints, peers behind a DERP relay.
 *
 * @module
 */
export type { RelayAddress } from "./connection/mod.ts";
export type { RelayStatus } from "./client/mod.ts";
export type { ListedRelay } from "./relays/mod.ts";
export { ProxyError, RelayConnectionError, type RelayFailure } from "./error.ts";
export { Proxy } from "./proxy.ts";
export {
  DEFAULT_PORT,
  type LoopbackAddresses,
  type ProxyOptions,
  type ProxyStatus,
} from "./types.ts";
