/**
 * The real components in a lab: control plane, relay and agents as processes on their hosts, started
 * as the tasks of deno.json start them.
 *
 * @module
 */

export { parsePing, pingArguments, type PingResult } from "./measure.ts";
export {
  type AgentStart,
  Mesh,
  type MeshOptions,
  type ServePrinted,
  type VpcRelayStart,
} from "./mesh.ts";
export { taskArguments } from "./program.ts";
