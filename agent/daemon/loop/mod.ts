/**
 * The agent's loop: what goes round, what one pass does, and what it works on.
 *
 * @module
 */
export { Met } from "./met.ts";
export { Pace } from "./pace.ts";
export { type Outcome, Reconciler } from "./reconciler.ts";
export { HostRooms } from "./rooms.ts";
export { Rounds } from "./rounds.ts";
export { Tunnel } from "./tunnel.ts";
