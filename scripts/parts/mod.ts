/**
 * The parts of others that a build contains, and what their authors want said of them.
 *
 * @module
 */

export { graphs, licenseIn, type ModuleGraph, packagesOf, PartsError } from "./graph.ts";
export { notices } from "./notices.ts";
