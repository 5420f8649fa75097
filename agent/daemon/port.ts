/**
 * Finding WireGuard's UDP port before WireGuard is there: STUN is asked from it first.
 *
 * @module
 */

/** The wanted port if it is free (0: any free one), else undefined. */
export function freeUdpPort(wanted: number): Promise<number | undefined> {
  try {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: wanted });
    const { port } = socket.addr as Deno.NetAddr;
    socket.close();
    return Promise.resolve(port);
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse || error instanceof Deno.errors.PermissionDenied) {
      return Promise.resolve(undefined);
    }
    return Promise.reject(error);
  }
}
