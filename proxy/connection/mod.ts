/**
 * The connection to a relay: dial, login, frames in and out, and when to give it up.
 *
 * @module
 */
export { type FrameSource, RelayConnection, type RelayEvents } from "./connection.ts";
export { type RelayAddress, relayName } from "./dial.ts";
export { type ConnectionLimits, DEFAULT_LIMITS } from "./liveness.ts";
export { FrameInput } from "./frame_input.ts";
export { FRAME_OVERHEAD, SendQueue } from "./send_queue.ts";
