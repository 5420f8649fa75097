/**
 * Links to other relays of the region and to other workers of this relay: what is written to them.
 *
 * @module
 */
export { Link, type LinkHub, type LinkSocket } from "./link.ts";
export {
  ALL_TOLD,
  encodeMark,
  encodeSiblingPresent,
  FORWARD_PREFIX,
  MAX_RUN,
  openMark,
  openSiblingPresent,
  RUN_PREFIX,
  SiblingFrame,
} from "./wire.ts";
