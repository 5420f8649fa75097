/** Sums the snapshots of a relay's workers into the relay's own. */
import { emptySnapshot } from "./empty.ts";
import { type Gauges, type Histogram, MAX_CLIENTS, type RelaySnapshot } from "./snapshot.ts";

/**
 * The relay's snapshot from those of its workers. Counters and most gauges add up; keys are known
 * by several workers, so the region's total is the largest any of them knows. Of none it is empty.
 */
export function mergeSnapshots(parts: readonly RelaySnapshot[]): RelaySnapshot {
  return parts.reduce(merge, emptySnapshot());
}

function merge(a: RelaySnapshot, b: RelaySnapshot): RelaySnapshot {
  return {
    counters: addRecords(a.counters, b.counters),
    dropped: addLists(a.dropped, b.dropped),
    droppedBytes: addLists(a.droppedBytes, b.droppedBytes),
    wireguard: addLists(a.wireguard, b.wireguard),
    gauges: mergeGauges(a.gauges, b.gauges),
    loginSeconds: addHistograms(a.loginSeconds, b.loginSeconds),
    framesPerWrite: addHistograms(a.framesPerWrite, b.framesPerWrite),
    meshUpdateBatchSize: addHistograms(a.meshUpdateBatchSize, b.meshUpdateBatchSize),
    meshUpdateLoopCount: addHistograms(a.meshUpdateLoopCount, b.meshUpdateLoopCount),
    clients: [...a.clients, ...b.clients]
      .sort((x, y) => y.receivedBytes + y.sentBytes - x.receivedBytes - x.sentBytes)
      .slice(0, MAX_CLIENTS),
    mesh: [...a.mesh, ...b.mesh],
    siblings: [...a.siblings, ...b.siblings],
    processes: [...a.processes, ...b.processes],
  };
}

function mergeGauges(a: Gauges, b: Gauges): Gauges {
  const sum = addRecords({ ...a }, { ...b }) as unknown as Gauges;
  sum.keysTotal = Math.max(a.keysTotal, b.keysTotal);
  // A key of one worker is remote to the others.
  sum.keysRemote = Math.max(0, sum.keysTotal - sum.keysLocal);
  return sum;
}

function addRecords(
  a: Record<string, number>,
  b: Record<string, number>,
): Record<string, number> {
  const sum = { ...a };
  for (const [name, value] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + value;
  return sum;
}

function addLists(a: readonly number[], b: readonly number[]): number[] {
  const [longer, shorter] = a.length < b.length ? [b, a] : [a, b];
  return longer.map((value, i) => value + (shorter[i] ?? 0));
}

function addHistograms(a: Histogram, b: Histogram): Histogram {
  const { bounds } = a.bounds.length < b.bounds.length ? b : a;
  return { bounds, counts: addLists(a.counts, b.counts), sum: a.sum + b.sum };
}
