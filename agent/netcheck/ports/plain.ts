/**
 * STUN from a port that nobody has yet: a plain socket, for both IP versions where the host has them.
 *
 * @module
 */
import { isOneDatagram } from "../../../relay/net/mod.ts";
import ipaddr from "ipaddr.js";
import { AgentError, reasonOf } from "../../errors.ts";
import { type Family, type StunPort, type Take, Unreachable } from "./types.ts";

/**
 * Binds the port (0: a free one) on all addresses, or on one IPv4 address.
 *
 * @throws {AgentError} when the port cannot be had
 */
export function openPlainPort(port: number, localAddress?: string): StunPort {
  const where = localAddress ?? "0.0.0.0";
  try {
    return new PlainPort(bindAll(port, localAddress));
  } catch (error) {
    const name = `UDP port ${port}`;
    if (error instanceof Deno.errors.AddrInUse) {
      throw new AgentError(
        `Cannot listen on ${name}: port in use; stop the other program or choose another ` +
          `--listen-port`,
        { cause: error },
      );
    }
    throw new AgentError(`Cannot listen on ${name} of ${where}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

type Sockets = Map<Family, Deno.DatagramConn>;

function bindAll(port: number, localAddress: string | undefined): Sockets {
  const open = (hostname: string, port: number) =>
    Deno.listenDatagram({ transport: "udp", hostname, port });
  if (localAddress !== undefined) return new Map([[4, open(localAddress, port)]]);
  let six: Deno.DatagramConn;
  try {
    six = open("::", port);
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) throw error;
    return new Map([[4, open("0.0.0.0", port)]]); // no IPv6 on this host
  }
  try {
    // Only where the system keeps the two apart (net.ipv6.bindv6only) is the port still free.
    return new Map([[4, open("0.0.0.0", (six.addr as Deno.NetAddr).port)], [6, six]]);
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return new Map([[4, six], [6, six]]);
    six.close();
    throw error;
  }
}

class PlainPort implements StunPort {
  readonly families: readonly Family[];
  readonly refused: Partial<Record<Family, string>> = {};
  readonly port: number;
  readonly #sockets: Sockets;
  #receiving: Promise<unknown> | undefined;
  #closed = false;

  constructor(sockets: Sockets) {
    this.#sockets = sockets;
    this.families = [...sockets.keys()];
    if (!sockets.has(6)) this.refused[6] = "this host has no IPv6";
    this.port = (sockets.get(4)!.addr as Deno.NetAddr).port;
  }

  async send(family: Family, message: Uint8Array, address: string, port: number): Promise<void> {
    const socket = this.#sockets.get(family);
    if (socket === undefined) throw new Unreachable(this.refused[family] ?? "no socket");
    const shared = family === 4 && socket === this.#sockets.get(6);
    const hostname = shared ? `::ffff:${address}` : address;
    try {
      await socket.send(message, { transport: "udp", hostname, port });
    } catch (error) {
      const reason = reasonOf(error, 120);
      throw /unreachable|not available|no route/i.test(reason) ? new Unreachable(reason) : error;
    }
  }

  listen(take: Take, failed: (reason: string) => void): void {
    const sockets = new Set(this.#sockets.values());
    this.#receiving = Promise.all(
      [...sockets].map((socket) => this.#receive(socket, take, failed)),
    );
  }

  /** The kernel has the port back only when the pending receive has ended: so the port goes, too. */
  async quiet(): Promise<void> {
    await this.close();
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      for (const socket of new Set(this.#sockets.values())) socket.close();
    }
    await this.#receiving;
  }

  async #receive(
    socket: Deno.DatagramConn,
    take: Take,
    failed: (reason: string) => void,
  ): Promise<void> {
    const buffer = new Uint8Array(1500);
    while (!this.#closed) {
      try {
        const [datagram, from] = await socket.receive(buffer);
        const { hostname, port } = from as Deno.NetAddr;
        const address = ipaddr.process(hostname.split("%", 1)[0]!);
        const text = address instanceof ipaddr.IPv6
          ? address.toRFC5952String()
          : address.toString();
        take(datagram, text, port);
      } catch (error) {
        if (this.#closed) return;
        if (isOneDatagram(error)) continue;
        return failed(reasonOf(error, 120));
      }
    }
  }
}
