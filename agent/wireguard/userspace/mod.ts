/**
 * wireguard-go: its process and its control socket, the same on every system.
 *
 * @module
 */
export { Daemon, findDaemon } from "./daemon.ts";
export { encodeSet, GET_REQUEST, parseGetAnswer, parseSetAnswer, UapiError } from "./uapi.ts";
export { uapiRequest } from "./uapi_client.ts";
