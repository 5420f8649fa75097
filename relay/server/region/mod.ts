/**
 * The relay among the others of its region, and a worker among its siblings.
 *
 * @module
 */
export { Region } from "./region.ts";
