/**
 * What devices tell of their ways to each other and to relays: kept while they are online, told to
 * users who see the VPC. By events they are told only that there is something to read.
 *
 * @module
 */
export { keepReport, PATHS, pathsOf, presentPaths, relaysSeen } from "./reports.ts";
