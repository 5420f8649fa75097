/**
 * The HTTP side of the relay: request heads, the upgrade to DERP, pages and metrics.
 *
 * @module
 */
export { type AppState, companionApp, relayApp } from "./app.ts";
export { Front, type FrontOptions } from "./front.ts";
export { relayMetrics } from "./metrics.ts";
export { Responder, Responder as Splicer } from "./wire/mod.ts";
