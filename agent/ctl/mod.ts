/**
 * The local control socket, both ends, and what people read of an agent's status.
 *
 * @module
 */
export {
  callAgent,
  describeAgent,
  describeExitNodes,
  describePeer,
  stopAgent,
  switchExitNodeClient,
} from "./client.ts";
export type { Controls } from "./methods.ts";
export { socketPathOf } from "./path.ts";
export { renderPeers, renderStatus } from "./render.ts";
export { isAnswering, serveControl } from "./server.ts";
export { ageText, bytesText, cut, facts, msText, spanText, table, wrap } from "./text.ts";
export type {
  AgentStatus,
  ExitNodeStatus,
  ListedRelayStatus,
  NetcheckStatus,
  PeerStatus,
} from "./types.ts";
