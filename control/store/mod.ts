/**
 * What the control plane keeps: one SQLite file, its tables and migrations, and the rows as the API
 * shows them.
 *
 * @module
 */
export { type Change, type Reader, Store, Write } from "./store.ts";
export { toDevice, toMetadata, toRegKey, toSecurityGroup, toVpc } from "./convert.ts";
export {
  findDevice,
  findSecurityGroup,
  findVpc,
  listDevices,
  listMetadata,
  type MetadataFilter,
  metadataQuery,
  vpcById,
} from "./queries.ts";
export type { DeviceRow, RegKeyRow, RevisionName, SecurityGroupRow, VpcRow } from "./tables.ts";
