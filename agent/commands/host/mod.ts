/**
 * Commands about this host, its network, and the agent as a service of it.
 *
 * @module
 */
export { debugBundle } from "./bundle.ts";
export { doctor } from "./doctor.ts";
export { install, serviceSettings, uninstall } from "./install.ts";
export { netcheck } from "./netcheck.ts";
