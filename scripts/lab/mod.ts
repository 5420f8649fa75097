/**
 * A network lab in namespaces: the ground of the demo and of every test that needs real hosts.
 *
 * @module
 */

export { type Host, Lab, type LabOptions } from "./lab.ts";
export { LabError } from "./errors.ts";
export type { LabProcess, RunOptions, RunResult, SpawnOptions } from "./process.ts";
export { MAX_HOSTS, MIN_HOSTS, NAT_KINDS, type NatKind } from "./topology.ts";
