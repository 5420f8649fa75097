import type { Job, Kind } from "./suites.ts";

/** How much of the machine a job takes; a processor has {@linkcode SHARES}. */
const TAKES: Readonly<Record<Kind, number>> = { busy: 3, waiting: 2, alone: Infinity };
const SHARES = 3;
/** More than so many processors are not used: labs take memory as well. */
const MOST_PROCESSORS = 8;

/** What a machine of so many processors has for jobs, in the shares that jobs take. */
export function capacityOf(processors: number): number {
  return SHARES * Math.min(Math.max(1, processors), MOST_PROCESSORS);
}

/**
 * Runs jobs side by side as far as the machine carries them: each time the first of those left that
 * fits beside the running ones. A job that wants to be alone starts when none runs, and none starts
 * beside it. Ends when all have ended; rejects with the first error of a run, with nothing new started.
 */
export async function schedule(
  jobs: readonly Job[],
  run: (job: Job) => Promise<void>,
  capacity: number,
): Promise<void> {
  const left = [...jobs];
  const running = new Set<Promise<void>>();
  let taken = 0;
  let failed: { error: unknown } | undefined;
  while ((left.length > 0 && failed === undefined) || running.size > 0) {
    while (failed === undefined) {
      const at = left.findIndex(({ kind }) =>
        running.size === 0 || taken + TAKES[kind] <= capacity
      );
      if (at < 0) break;
      const [job] = left.splice(at, 1);
      const takes = TAKES[job!.kind];
      taken += takes;
      const done: Promise<void> = run(job!).catch((error) => {
        failed ??= { error };
      }).then(() => {
        running.delete(done);
        taken = running.size === 0 ? 0 : taken - takes;
      });
      running.add(done);
    }
    await Promise.race(running);
  }
  if (failed !== undefined) throw failed.error;
}
