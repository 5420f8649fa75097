/**
 * Services that are asked about a login.
 *
 * @module
 */
export type { AskingLimits } from "./asking.ts";
export { CallOut } from "./call_out.ts";
export { Tailscaled } from "./tailscaled.ts";
