/**
 * Metadata of devices: JSON objects by key.
 *
 * @module
 */
export { deleteKeys, METADATA, metadataOf, putKey, readKey } from "./values.ts";
