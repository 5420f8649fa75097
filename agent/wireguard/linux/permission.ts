/**
 * What a host has to allow before there can be an interface, each with its remedy.
 *
 * @module
 */
import { AgentError, reasonOf } from "../../errors.ts";

const CAP_NET_ADMIN = 12n;

/** Throws with the remedy when this process may not make an interface. */
export async function checkPermission(name: string): Promise<void> {
  const status = await Deno.readTextFile("/proc/self/status").catch((error) => {
    if (!(error instanceof Deno.errors.NotCapable)) return "";
    throw new AgentError(
      `Cannot create interface ${name}: Deno may not read /proc; run it with --allow-all`,
    );
  });
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (capabilities && (BigInt(`0x${capabilities}`) >> CAP_NET_ADMIN & 1n) === 0n) {
    throw new AgentError(
      `Cannot create interface ${name}: no permission (CAP_NET_ADMIN); run nexd as root`,
    );
  }
}

/** Throws with the remedy when the host has no TUN device. */
export async function checkTun(tunPath: string = "/dev/net/tun"): Promise<void> {
  try {
    (await Deno.open(tunPath, { read: true, write: true })).close();
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new AgentError(`Cannot open ${tunPath}: permission denied; run nexd as root`);
    }
    throw new AgentError(
      `Cannot open ${tunPath}: ${
        error instanceof Deno.errors.NotFound ? "it does not exist" : reasonOf(error)
      }; run modprobe tun, or give the container the device (--device /dev/net/tun)`,
    );
  }
}
