/**
 * Security groups: which traffic the devices of a VPC let in and out of the tunnel. The control
 * plane keeps and checks the rules; agents enforce them.
 *
 * @module
 */
export { createGroup, deleteGroup, groupsQuery, updateGroup, visibleGroup } from "./groups.ts";
