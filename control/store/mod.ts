/**
 * What the control plane keeps, in one SQLite file or in PostgreSQL: tables and migrations, and the
 * rows as the API shows them.
 *
 * @module
 */
export type { Change, Heard } from "./backend.ts";
export { checkPostgresUrl } from "./postgres/mod.ts";
export { type Reader, Store } from "./store.ts";
export {
  type Content,
  type Insert,
  loadPostgres,
  loadSqlite,
  noteIn,
  openSnapshot,
  type Snapshot,
  type TableInfo,
} from "./transfer/mod.ts";
export { unavailable } from "./unavailable.ts";
export {
  toAuditEntry,
  toDevice,
  toMetadata,
  toOrganization,
  toRegKey,
  toRelayRegion,
  toSecurityGroup,
  toUser,
  toVpc,
} from "./convert.ts";
export {
  findDevice,
  findSecurityGroup,
  findVpc,
  listMetadata,
  type MetadataFilter,
  metadataQuery,
  together,
  vpcById,
} from "./queries.ts";
export type {
  AccountRow,
  AuditRow,
  AuthCodeRow,
  DeviceCodeRow,
  DevicePathsRow,
  DeviceRow,
  InvitationRow,
  MetadataRow,
  OrganizationRow,
  RegKeyRow,
  RelayRegionRow,
  RelaySampleRow,
  RevisionName,
  SecurityGroupRow,
  ServiceNetworkRow,
  Tables,
  UserRow,
  VpcRow,
} from "./tables.ts";
export { EVERY_ORGANIZATION, type Note, type RowSource, Write } from "./writes/mod.ts";
