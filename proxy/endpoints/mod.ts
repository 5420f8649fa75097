/**
 * The loopback endpoints of peers: which address each has, and its socket there.
 *
 * @module
 */
export { bindEndpoint, unbindEndpoint } from "./bind.ts";
export { checkPort, Endpoints } from "./endpoints.ts";
