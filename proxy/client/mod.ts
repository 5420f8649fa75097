/**
 * A relay's client: what is sent and held, and the connection that is made again.
 *
 * @module
 */
export { type ClientOptions, DerpClient, type RelayStatus } from "./derp_client.ts";
