/** The snapshot of a relay in which nothing has happened: merging it changes nothing. */
import type { Histogram, RelaySnapshot } from "./snapshot.ts";

/** A new one each time, for its holder to change. */
export function emptySnapshot(): RelaySnapshot {
  const histogram = (): Histogram => ({ bounds: [], counts: [], sum: 0 });
  return {
    counters: {},
    dropped: [],
    droppedBytes: [],
    wireguard: [],
    gauges: {
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
    },
    loginSeconds: histogram(),
    framesPerWrite: histogram(),
    meshUpdateBatchSize: histogram(),
    meshUpdateLoopCount: histogram(),
    clients: [],
    mesh: [],
    siblings: [],
    processes: [],
  };
}
