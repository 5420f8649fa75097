/**
 * wireguard-go: its process and its control socket, the same on every system.
 *
 * @module
 */
export { Daemon, findDaemon, MAC_PLACES } from "./daemon.ts";
export { applyChanges, configureTunnel, readTunnel } from "./tunnel.ts";
export { uapiRequest } from "./uapi_client.ts";
