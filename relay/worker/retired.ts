/** What is left of a worker that died: its counters, which must not fall. */
import { emptySnapshot, mergeSnapshots, type RelaySnapshot } from "../state/mod.ts";

/** Adds the counters of a worker's last snapshot to those of the workers that died before. */
export function retired(
  before: RelaySnapshot | undefined,
  last: RelaySnapshot,
): RelaySnapshot {
  const counters = Object.fromEntries(
    Object.entries(last.counters).map(([name, value]) => [name, isGauge(name) ? 0 : value]),
  );
  const { gauges, clients, mesh, siblings, processes } = emptySnapshot();
  const left = { ...last, counters, gauges, clients, mesh, siblings, processes };
  return before === undefined ? left : mergeSnapshots([before, left]);
}

/** `currentConnections` and its like went with the worker. */
function isGauge(counter: string): boolean {
  return counter.startsWith("current");
}
