/**
 * Real echoes (ICMP, ICMPv6) to addresses inside the tunnel: what a person means by "can I reach it".
 *
 * @module
 */
export { openPinger, type Pinger, type PingerOptions, type PingOutcome } from "./pinger.ts";
export { type PeerEcho, pingPeers } from "./peers.ts";
