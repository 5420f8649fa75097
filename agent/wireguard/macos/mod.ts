/**
 * WireGuard on macOS.
 *
 * @module
 */
export { cleanMacos, type MacDaemon, type MacHost, openMacos } from "./wireguard_go.ts";
