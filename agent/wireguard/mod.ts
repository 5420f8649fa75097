/**
 * WireGuard devices: one interface for every driver. Here: wireguard-go.
 *
 * @module
 */

export type { DeviceConfig, PeerConfig, PeerStats, WireGuardDevice } from "./types.ts";
export { checkInterfaceName } from "./ip.ts";
export { openWireGuardGo } from "./wireguard_go.ts";
export { cleanLeftover } from "./leftover.ts";
