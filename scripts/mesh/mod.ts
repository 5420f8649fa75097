/**
 * The real components in a lab: control plane, relay and agents as processes on their hosts, started
 * as the tasks of deno.json start them.
 *
 * @module
 */

export {
  type IperfResult,
  parseIperf,
  parseMetrics,
  parsePing,
  pingArguments,
  type PingResult,
} from "./measure.ts";
export { Mesh, type MeshOptions, type NatObservation, taskArguments } from "./mesh.ts";
