/**
 * The UDP port that STUN is asked from: a plain socket before WireGuard has it, a raw one afterwards.
 *
 * @module
 */
export { openPlainPort } from "./plain.ts";
export { PROBE_MAGIC } from "./packet.ts";
export { openRawPort, type RawOptions, RawRefusal } from "./raw.ts";
export { SharedPort } from "./shared.ts";
export { type Family, type StunPort, type Take, Unreachable } from "./types.ts";
