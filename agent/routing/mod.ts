/**
 * Networks behind peers, exit nodes, and hosts that carry packets for others: rules, routes, filters
 * and settings of the kernel, all put back at the end.
 *
 * @module
 */
export { type ExitNode, routing, type RoutingOptions, type RoutingRoom } from "./room.ts";
