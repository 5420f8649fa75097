/**
 * Links to other relays of the region and to other workers of this relay: what is written to them.
 *
 * @module
 */
export { Link, type LinkHub, type LinkSocket } from "./link.ts";
export {
  encodeSiblingPresent,
  FORWARD_PREFIX,
  MAX_RUN,
  openSiblingPresent,
  RUN_PREFIX,
  SiblingFrame,
} from "./wire.ts";
