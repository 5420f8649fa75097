/**
 * Bootstrap DNS: addresses of well-known names for clients whose own DNS does not work.
 *
 * @module
 */
export { BootstrapDns, type BootstrapDnsCounters, type BootstrapDnsOptions } from "./bootstrap.ts";
export type { Resolve } from "./resolve.ts";
