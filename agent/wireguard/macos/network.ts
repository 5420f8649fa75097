/**
 * Addresses and routes by ifconfig(8) and route(8). Every argument is checked before it gets here.
 *
 * @module
 */
import { AgentError, reasonOf } from "../../errors.ts";
import type { RunCommand } from "../../platform/mod.ts";
import type { Prefix } from "../prefixes.ts";

/** Sets addresses and MTU of an interface and brings it up. */
export async function configureLink(
  run: RunCommand,
  name: string,
  mtu: number,
  addresses: Prefix[],
): Promise<void> {
  const calls = [["mtu", String(mtu)]];
  for (const { cidr, family } of addresses) {
    // Below its least MTU the system has no IPv6 on an interface.
    if (family === 6 && mtu < 1280) continue;
    const own = cidr.replace(/\/.*/, "");
    // The far end of a tunnel that has many is the interface's own address.
    calls.push(family === 4 ? ["inet", cidr, own, "alias"] : ["inet6", cidr, "alias"]);
  }
  calls.push(["up"]);
  for (const call of calls) {
    const { code, stdout, stderr } = await run("/sbin/ifconfig", [name, ...call]);
    if (code === 0) continue;
    throw new AgentError(
      `Cannot configure interface ${name}: "ifconfig ${name} ${call.join(" ")}" says ` +
        reasonOf(stderr || stdout),
    );
  }
}

/** See `Backend.changeRoutes`. */
export async function changeRoutes(
  run: RunCommand,
  name: string,
  add: string[],
  remove: string[],
): Promise<Map<string, string>> {
  const refused = new Map<string, string>();
  const change = (verb: string, prefix: string) =>
    run("/sbin/route", [
      ...["-n", verb, prefix.includes(":") ? "-inet6" : "-inet", prefix],
      ...["-interface", name],
    ]);
  for (const prefix of add) {
    const reason = routeRefusal(await change("add", prefix));
    if (reason !== undefined) refused.set(prefix, reason);
  }
  for (const prefix of remove) await change("delete", prefix);
  return refused;
}

/**
 * Why route(8) refused: it ends with 0 all the same, and tells in its one line behind the gateway,
 * `add net 10.8.0.0/16: gateway utun5: File exists`.
 */
export function routeRefusal(
  { code, stdout, stderr }: { code: number; stdout: string; stderr: string },
): string | undefined {
  const told = /: gateway [^:\s]+: (.+)$/m.exec(stdout)?.[1];
  if (told !== undefined) return reasonOf(told);
  return code === 0 ? undefined : reasonOf(stderr || stdout || `exit code ${code}`);
}
