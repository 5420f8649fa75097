/**
 * The proxy on a host: WireGuard on loopback endpoints, peers behind a DERP relay.
 *
 * @module
 */
export type { RelayAddress } from "./connection/mod.ts";
export type { RelayStatus } from "./derp_client.ts";
export { ProxyError, RelayConnectionError, type RelayFailure } from "./error.ts";
export { DEFAULT_PORT, Proxy, type ProxyOptions, type ProxyStatus } from "./proxy.ts";
