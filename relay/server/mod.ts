/**
 * The relay's core: logged-in clients, their queues, and the packet path between them.
 *
 * @module
 */
export type { Socket } from "./connection.ts";
export { Counters, DROP_REASONS, KINDS, WIREGUARD_TYPES } from "./counters.ts";
export { DEFAULT_LIMITS, type Limits, MAX_HEAD, SMALL_READ } from "./limits.ts";
export { ALL_TOLD, type Link, openMark, openSiblingPresent, SiblingFrame } from "./links/mod.ts";
export type { RateLimit } from "./rate/mod.ts";
export { type Admit, RelayServer, type Restart, type Upgrade } from "./server.ts";
export { Sweep } from "./sweep.ts";
