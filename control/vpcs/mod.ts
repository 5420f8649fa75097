/**
 * VPCs: their ranges, and what goes when one is deleted.
 *
 * @module
 */
export { addVpc, deleteVpc, removeVpc, updateVpc, vpcHasDevices } from "./change.ts";
export { vpcsQuery } from "./list.ts";
