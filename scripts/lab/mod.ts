/**
 * A network lab in namespaces: the ground of the demo and of every test that needs real hosts.
 *
 * @module
 */

export { Lab } from "./lab.ts";
export { LabError } from "./errors.ts";
export type { LabProcess } from "./process.ts";
export type { NatKind } from "./topology.ts";
