/**
 * The HTTP side of the relay: request heads, the upgrade to DERP, pages and metrics.
 *
 * @module
 */
export { type AppState, companionApp, relayApp } from "./app.ts";
export { BootstrapDns, type BootstrapDnsCounters } from "./dns/mod.ts";
export { Front, type FrontOptions } from "./front.ts";
export { GuestHttp } from "./guest_http.ts";
export {
  METRICS,
  type MetricsSource,
  metricsTable,
  type RelayMetrics,
  relayMetrics,
} from "./metrics/mod.ts";
export { checkDebugKeyFile, DebugRule, parseHome } from "./pages/mod.ts";
export { PlainHttp } from "./plain_http.ts";
export {
  type BodySink,
  type BodySource,
  type Guest,
  type GuestClient,
  LongBody,
  Responder,
} from "./wire/mod.ts";
