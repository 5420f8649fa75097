/**
 * WireGuard on Windows.
 *
 * @module
 */
export { windowsPaths } from "./service.ts";
export { cleanWindows, openWindows, type WindowsHost } from "./wireguard_nt.ts";
