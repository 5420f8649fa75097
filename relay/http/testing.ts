/** For tests of the HTTP side: a relay's state without a relay. */
import { DROP_REASONS, WIREGUARD_TYPES } from "../server/mod.ts";
import { type ClientState, emptySnapshot, type RelaySnapshot } from "../state/mod.ts";
import { type AppState, DebugRule, relayMetrics } from "./mod.ts";

/** A relay that has just begun: with its histograms' bounds, and a process. */
export function freshSnapshot(): RelaySnapshot {
  return {
    ...emptySnapshot(),
    dropped: new Array(DROP_REASONS.length * 2).fill(0),
    droppedBytes: new Array(DROP_REASONS.length * 2).fill(0),
    wireguard: new Array(WIREGUARD_TYPES.length).fill(0),
    loginSeconds: { bounds: [0.01, 0.1, 1], counts: [0, 0, 0, 0], sum: 0 },
    framesPerWrite: { bounds: [0, 1, 2], counts: [0, 0, 0, 0], sum: 0 },
    meshUpdateBatchSize: { bounds: [0, 1], counts: [0, 0, 0], sum: 0 },
    meshUpdateLoopCount: { bounds: [0, 1], counts: [0, 0, 0], sum: 0 },
    processes: [{ pid: Deno.pid, since: Date.now() - 3_600_000, cpuSeconds: 0, rssBytes: 0 }],
  };
}

/** A client that is idle, unless said otherwise. */
export function testClient(more: Partial<ClientState> = {}): ClientState {
  return {
    key: "ab".repeat(32),
    remote: "203.0.113.7:41641",
    since: Date.now() - 60_000,
    receivedBytes: 0,
    sentBytes: 0,
    queuedPackets: 0,
    droppedPackets: 0,
    uniqueSenders: 0,
    home: false,
    mesh: false,
    prober: false,
    websocket: false,
    duplicate: false,
    ...more,
  };
}

/** The state behind the pages: a relay in which nothing has happened, unless said otherwise. */
export function testState(more: Partial<AppState> = {}): AppState {
  const snapshot = more.snapshot ?? (() => Promise.resolve(freshSnapshot()));
  return {
    version: "test",
    hostname: "relay.test",
    check: () => [],
    snapshot,
    metrics: relayMetrics({ snapshot, stun: () => undefined, version: "test" }),
    certificate: () => undefined,
    debug: new DebugRule({ networks: [] }),
    home: "",
    derp: true,
    meshKey: false,
    stun: () => undefined,
    ...more,
  };
}
