/**
 * What tests on labs share: whether this machine can carry one. A test that cannot run returns at
 * once, and its skip line says why.
 *
 * @module
 */

import { Lab } from "./mod.ts";

let labRefusal: Promise<string | undefined> | undefined;

/** True, after a skip line, where labs cannot be built. */
export async function cannotLab(): Promise<boolean> {
  labRefusal ??= reasonOf(async () => {
    await using _ = await Lab.create({ hosts: 1, nat: "open" });
  });
  return skipFor(await labRefusal);
}

/** True, after a skip line, where labs cannot be built or wireguard-go cannot run in them. */
export async function cannotMesh(): Promise<boolean> {
  return await cannotLab() || skipFor(
    await reasonOf(() => Deno.openSync("/dev/net/tun", { read: true, write: true }).close()),
  );
}

async function reasonOf(attempt: () => Promise<void> | void): Promise<string | undefined> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function skipFor(reason: string | undefined): boolean {
  if (reason !== undefined) skip(reason);
  return reason !== undefined;
}

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

/** Prints why a test does not run here. */
export function skip(reason: string): void {
  // deno-lint-ignore no-console -- a test's skip line
  console.log(`skip: ${reason}`);
}
