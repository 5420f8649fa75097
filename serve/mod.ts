/**
 * `nexd serve`: a control plane, a public relay and STUN in one process, on one port and with one
 * certificate.
 *
 * @module
 */
export { runServe, type ServeContext } from "./run.ts";
export { prepareService } from "./service.ts";
