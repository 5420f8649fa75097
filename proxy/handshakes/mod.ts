/**
 * Keeps crossing handshake initiations from spoiling each other.
 *
 * @module
 */
export { Crossing, type CrossingWays, DATA, isLower } from "./crossing.ts";
