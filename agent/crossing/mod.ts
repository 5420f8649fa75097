/**
 * Stand-ins for the addresses of two peers while they change between the VPC's WireGuard relay and a
 * way of their own: `agent/peering/crossing.ts` says what for.
 *
 * @module
 */
export { type StandIns, standIns, type StandInsOptions } from "./room.ts";
