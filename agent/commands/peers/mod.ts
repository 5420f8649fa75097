/**
 * Commands about the peers of a running agent.
 *
 * @module
 */
export { exitNodeDisable, exitNodeEnable, exitNodeList } from "./exit_node.ts";
export { findPeer } from "./find.ts";
export { ping } from "./ping.ts";
export { peersPing, peersPing6, renderPings } from "./ping_all.ts";
