/**
 * The HTTP side of the relay: request heads, the upgrade to DERP, pages and metrics.
 *
 * @module
 */
export { type AppState, companionApp, relayApp } from "./app.ts";
export { Front } from "./front.ts";
export { relayMetrics } from "./metrics.ts";
export { Splicer } from "./splice.ts";
