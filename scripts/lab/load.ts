/** Load is allowed for up to this factor: a bound that nothing can break is none. */
const MOST_LOAD = 5;

/**
 * A bound on how long something may take, ms, for this machine as it is now: `ms` where there is a
 * processor for each that wants one, and longer where several share one. What is slow with a
 * processor of its own breaks it.
 */
export function underLoad(ms: number): number {
  const running = Number(/ (\d+)\//.exec(Deno.readTextFileSync("/proc/loadavg"))?.[1] ?? 0);
  const wanting = Math.max(Deno.loadavg()[0]!, running) / navigator.hardwareConcurrency;
  return ms * Math.min(MOST_LOAD, Math.max(1, wanting));
}
