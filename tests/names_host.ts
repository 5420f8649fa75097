/**
 * Pins a name on a lab's host for as long as it runs, as an agent does: `OWNER HOST ADDRESS`. Looks
 * after it every 50 ms, prints its notes when they change, and lets go at SIGTERM.
 *
 * @module
 */
import type { Device, Vpc } from "../control/api/types.ts";
import type { HostFacts } from "../agent/host/mod.ts";
import { hostsFile } from "../agent/names/mod.ts";

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

if (import.meta.main) {
  const [owner, host, address] = Deno.args as [string, string, string];
  const room = hostsFile({ owner, forbidden: ["api.control"] });
  const facts: HostFacts = {
    interfaceName: owner,
    self: {} as HostFacts["self"],
    device: {} as Device,
    vpc: { ipv4_cidr: "100.64.0.0/10", ipv6_cidr: "200::/64" } as Vpc,
    devices: [],
    securityGroups: [],
    synced: true,
    plans: [],
    relays: [{ host, address, port: 443, pin: true }],
    servers: [],
  };
  let ended = false;
  Deno.addSignalListener("SIGTERM", () => ended = true);
  await room.repair!();
  for (let told = ""; !ended; await new Promise((resolve) => setTimeout(resolve, 50))) {
    await room.apply!(facts);
    const notes = room.notes().join("; ");
    if (notes !== told) print(told = notes);
  }
  await room.close();
  Deno.exit(0);
}
