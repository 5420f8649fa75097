/**
 * The daemon: joins registration, watch stream, planner, WireGuard and proxy.
 *
 * @module
 */
export { Agent, TUNNEL_MTU } from "./agent.ts";
export type { Values } from "../onboarding/mod.ts";
export { type AgentConfig, readConfig } from "./config.ts";
export type { Doors, NatWatcher, RelayProxy } from "./doors.ts";
export { freeUdpPort } from "./port.ts";
