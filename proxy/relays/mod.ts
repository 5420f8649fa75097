/**
 * The relays of a host: which one is home, where else it is logged in, and through which of them a
 * peer is reached.
 *
 * @module
 */
export type { HomeReason, SeatReason } from "./choice.ts";
export { ANSWER, ASK, HELLO, helloKind } from "./hello.ts";
export type { ListedRelay } from "./list.ts";
export { Relays } from "./relays.ts";
export { Meeting, type Place } from "./meeting.ts";
export type { Seat } from "./seat.ts";
