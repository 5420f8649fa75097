/**
 * What happens to deleted rows in the end. They stay for a while, as watchers that come back later have
 * to hear of the deletion.
 *
 * @module
 */
export { cleanUp, keepClean } from "./cleanup.ts";
