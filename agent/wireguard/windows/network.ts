/**
 * Routes by netsh(1). Its messages are in the system's language: only its exit code is relied on.
 *
 * @module
 */
import { reasonOf } from "../../errors.ts";
import type { RunCommand } from "../../platform/mod.ts";

/** Commands under way at once: each takes tens of milliseconds, and there may be many routes. */
const AT_ONCE = 4;

/** See `Backend.changeRoutes`. `netsh`: its path. */
export async function changeRoutes(
  run: RunCommand,
  netsh: string,
  name: string,
  add: string[],
  remove: string[],
): Promise<Map<string, string>> {
  const refused = new Map<string, string>();
  const change = (verb: string, prefix: string) =>
    run(netsh, [
      ...["interface", prefix.includes(":") ? "ipv6" : "ipv4", verb, "route"],
      // Gone with a restart of the system, like the interface.
      ...[`prefix=${prefix}`, `interface=${name}`, "store=active"],
    ]);
  await eachOf(add, async (prefix) => {
    const { code, stdout, stderr } = await change("add", prefix);
    if (code !== 0) refused.set(prefix, reasonOf(stdout || stderr || `exit code ${code}`));
  });
  await eachOf(remove, (prefix) => change("delete", prefix));
  return refused;
}

async function eachOf(
  items: readonly string[],
  action: (item: string) => Promise<unknown>,
): Promise<void> {
  const queue = [...items];
  const work = async () => {
    for (let item; (item = queue.shift()) !== undefined;) await action(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
