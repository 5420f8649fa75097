/**
 * What the network makes of this host: its address as STUN servers see it, whether the NAT gives
 * each destination another one, and the address that the local network knows it by.
 *
 * @module
 */

export { localEndpoint } from "./local.ts";
export { PathProber, type PathProberOptions, type PathTarget } from "./pathprobe/mod.ts";
export { openRawPort, SharedPort } from "./ports/mod.ts";
export { probe, type ProbeOptions, type ProbeResult } from "./probe.ts";
export type { ServerReport } from "./round.ts";
export type { View } from "./view.ts";
export { type NatView, NatWatch, type NatWatchOptions, type NatWatchStatus } from "./watch.ts";
