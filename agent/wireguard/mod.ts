/**
 * WireGuard devices: one interface for every driver.
 *
 * @module
 */

export type { DeviceConfig, PeerConfig, PeerStats, WireGuardDevice } from "./types.ts";
export { cleanLeftover } from "./linux/mod.ts";
export { openDevice } from "./open.ts";
export { checkInterfaceName, RangeConflict } from "./settings.ts";
