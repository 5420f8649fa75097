/**
 * What tests on labs share: whether this machine can carry one. A test that cannot run returns at
 * once, and its skip line says why.
 *
 * @module
 */

import { Lab } from "./mod.ts";

export { underLoad } from "./load.ts";

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

/** Prints why a test does not run here. */
export function skip(reason: string): void {
  // deno-lint-ignore no-console -- a test's skip line
  console.log(`skip: ${reason}`);
}
