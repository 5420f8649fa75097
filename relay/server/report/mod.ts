/**
 * What the relay tells about itself.
 *
 * @module
 */
export { Distribution } from "./histogram.ts";
export { takeSnapshot } from "./snapshot.ts";
