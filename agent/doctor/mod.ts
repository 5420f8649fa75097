/**
 * What is wrong on this host and around it, and how to mend it.
 *
 * @module
 */
export type { Finding, Level } from "./finding.ts";
export { examine, type Patient } from "./examine.ts";
export { measureNetwork, type NetworkQuestions, type NetworkReport } from "./network.ts";
export { lookAtRelay, type RelayAddress, type RelayReport } from "./relay.ts";
