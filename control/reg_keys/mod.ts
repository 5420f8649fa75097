/**
 * Registration keys: how hosts join without a user.
 *
 * @module
 */
export {
  addRegKey,
  deleteRegKey,
  presentRegKey,
  type RegKeyDeps,
  regKeysQuery,
  updateRegKey,
  visibleRegKey,
} from "./keys.ts";
export { parseTime } from "./expiry.ts";
