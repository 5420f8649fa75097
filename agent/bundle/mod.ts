/**
 * One file with what a bug report needs, and no secret in it.
 *
 * @module
 */
export { type BundleFacts, collect } from "./collect.ts";
export { archive, type ArchiveFile } from "./tar.ts";
