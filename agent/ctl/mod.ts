/**
 * The local control socket, both ends, and what `nexd status` prints.
 *
 * @module
 */
export { callAgent, describeAgent } from "./client.ts";
export { renderPeers, renderStatus } from "./render.ts";
export { type ControlSocket, isAnswering, serveControl } from "./server.ts";
export type { AgentPhase, AgentStatus, PeerStatus, RelayStatus, SkippedStatus } from "./types.ts";
