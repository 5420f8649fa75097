/**
 * The local control socket, both ends, and what `nexd status` prints.
 *
 * @module
 */
export { callAgent, describeAgent } from "./client.ts";
export { renderPeers, renderStatus } from "./render.ts";
export { isAnswering, serveControl } from "./server.ts";
export type { AgentStatus, NetcheckStatus, PeerStatus } from "./types.ts";
