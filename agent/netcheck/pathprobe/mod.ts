/**
 * Which endpoints of peers answer, found out beside WireGuard.
 *
 * @module
 */
export type { PathTarget, Probed } from "./peer.ts";
export { PathProber, type PathProberOptions } from "./prober.ts";
