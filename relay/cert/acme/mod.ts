/**
 * Certificates by ACME: Let's Encrypt, Google Trust Services, or a CA of one's own.
 *
 * @module
 */
export { AcmeSource } from "./acme_source.ts";
export {
  ACME_DIRECTORIES,
  type AcmeOptions,
  type AcmeTimes,
  type AlpnChallenge,
} from "./options.ts";
export { AlpnGate, type AlpnGateOptions, openAlpnGate } from "./alpn/mod.ts";
