/**
 * WireGuard on Windows.
 *
 * @module
 */
export { cleanWindows, openWindows, type WindowsHost } from "./wireguard_nt.ts";
