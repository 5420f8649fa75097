/**
 * The relay's links: to other relays of its region, and between its own workers.
 *
 * @module
 */
export { loadMeshKey, type MeshPeer, parseMeshKey, parseMeshWith } from "./config.ts";
export { MeshError } from "./error.ts";
export { Mesh, type MeshOptions, type MeshTimes } from "./mesh.ts";
export { liveSiblings, Siblings } from "./siblings.ts";
