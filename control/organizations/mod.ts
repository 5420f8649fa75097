/**
 * Organizations: whose VPCs are seen and changed by whom.
 *
 * @module
 */
export {
  organizationsQuery,
  ownedBy,
  ownedOrganization,
  ownersOf,
  owns,
  type Role,
  roleMark,
  ROLES,
  visibleOrganization,
} from "./access.ts";
export { createOrganization, deleteOrganization, removeOrganization } from "./change.ts";
export {
  memberOf,
  type MemberRow,
  membersQuery,
  recordMember,
  removeMember,
  toMember,
} from "./members.ts";
