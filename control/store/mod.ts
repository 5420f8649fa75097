/**
 * What the control plane keeps: one SQLite file, its tables and migrations, and the rows as the API
 * shows them.
 *
 * @module
 */
export { type Change, type Reader, Store, Write } from "./store.ts";
export {
  toDevice,
  toMetadata,
  toOrganization,
  toRegKey,
  toSecurityGroup,
  toUser,
  toVpc,
} from "./convert.ts";
export {
  findDevice,
  findOrganization,
  findSecurityGroup,
  findVpc,
  listDevices,
  listMetadata,
  listOrganizations,
  listVpcs,
  type MetadataFilter,
  metadataQuery,
  vpcById,
} from "./queries.ts";
export type {
  AccountRow,
  DeviceCodeRow,
  DeviceRow,
  InvitationRow,
  MetadataRow,
  OrganizationRow,
  RegKeyRow,
  RevisionName,
  SecurityGroupRow,
  ServiceNetworkRow,
  Tables,
  UserRow,
  VpcRow,
} from "./tables.ts";
