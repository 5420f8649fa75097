/**
 * This host as the others have to see it: measured while it runs, and published.
 *
 * @module
 */
export { measureHost } from "./measure.ts";
export { Outside, type OutsideParts } from "./outside.ts";
export type { Paths } from "./paths.ts";
export {
  Publisher,
  type PublisherOptions,
  type PublisherTimes,
  type Whereabouts,
} from "./publisher.ts";
