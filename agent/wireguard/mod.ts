/**
 * WireGuard devices: one interface for every driver.
 *
 * @module
 */

export type { DeviceConfig, PeerConfig, PeerStats, WireGuardDevice } from "./types.ts";
export { cleanLeftover, openDevice } from "./open.ts";
export { checkInterfaceName, RangeConflict } from "./settings.ts";
export { MAC_PLACES } from "./userspace/mod.ts";
export { windowsPaths } from "./windows/mod.ts";
