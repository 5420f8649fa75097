/** What is left of a worker that died: its counters, which must not fall. */
import { mergeSnapshots, type RelaySnapshot } from "../state/mod.ts";

const NO_GAUGES: RelaySnapshot["gauges"] = {
  connections: 0,
  home: 0,
  notIdeal: 0,
  keysLocal: 0,
  keysRemote: 0,
  keysTotal: 0,
  duplicateKeys: 0,
  duplicateConnections: 0,
  watchers: 0,
  queuedPackets: 0,
  queuedBytes: 0,
  loggingIn: 0,
  httpStreams: 0,
};

const EMPTY: RelaySnapshot = {
  counters: {},
  dropped: [],
  droppedBytes: [],
  wireguard: [],
  gauges: NO_GAUGES,
  loginSeconds: { bounds: [], counts: [], sum: 0 },
  framesPerWrite: { bounds: [], counts: [], sum: 0 },
  meshUpdateBatchSize: { bounds: [], counts: [], sum: 0 },
  meshUpdateLoopCount: { bounds: [], counts: [], sum: 0 },
  clients: [],
  mesh: [],
  siblings: [],
  processes: [],
};

/** Adds the counters of a worker's last snapshot to those of the workers that died before. */
export function retired(
  before: RelaySnapshot | undefined,
  last: RelaySnapshot | undefined,
): RelaySnapshot {
  if (last === undefined) return before ?? EMPTY;
  const counters = Object.fromEntries(
    Object.entries(last.counters).map(([name, value]) => [name, isGauge(name) ? 0 : value]),
  );
  const { gauges, clients, mesh, siblings, processes } = EMPTY;
  const left = { ...last, counters, gauges, clients, mesh, siblings, processes };
  return before === undefined ? left : mergeSnapshots([before, left]);
}

/** `currentConnections` and its like went with the worker. */
function isGauge(counter: string): boolean {
  return counter.startsWith("current");
}
