/**
 * What this host tells the control plane of its ways to others, for people to look at.
 *
 * @module
 */
export { Reporter, type ReporterDoors, type ReporterTimes } from "./reporter.ts";
export { newsIn, reportOf } from "./summary.ts";
