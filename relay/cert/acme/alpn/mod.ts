/**
 * TLS-ALPN-01 (RFC 8737) beside a TLS library that cannot do it.
 *
 * @module
 */
export { AlpnGate, type AlpnGateOptions, openAlpnGate } from "./gate.ts";
