/**
 * What devices tell of their ways to each other and to relays: kept while they are online, told to
 * users who see the VPC, and to nobody by events.
 *
 * @module
 */
export { keepReport, PATHS, pathsOf, presentPaths, relaysSeen } from "./reports.ts";
