/**
 * The HTTP side of the relay: request heads, the upgrade to DERP, pages and metrics.
 *
 * @module
 */
export { type AppState, companionApp, relayApp, type RequestEnv } from "./app.ts";
export { Front } from "./front.ts";
export { headEnd, HeadError, parseHead, type RequestHead, wantsDerp } from "./head.ts";
export { type MetricsSource, type RelayMetrics, relayMetrics } from "./metrics.ts";
export { Splicer } from "./splice.ts";
