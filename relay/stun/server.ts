/**
 * The relay's STUN server: tells each client the address its datagrams come from.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { isDualStack, isOneDatagram, newSocketFd, socketFds } from "../net/mod.ts";
import { encodeBindingResponse, parseBindingRequest } from "./codec.ts";

/** Where to listen. */
export interface StunServerOptions {
  /** IP address; "" or "::" for every IPv4 and IPv6 address, "0.0.0.0" for every IPv4 one. */
  hostname: string;
  /** UDP port; 0 picks a free one. The usual port is 3478. */
  port: number;
  /**
   * Another server of ours may have the port and is about to give it up: the newer one gets the
   * datagrams meanwhile. Otherwise a port in use is an error.
   */
  takeOver?: boolean;
}

/** What the server did since it started; only ever counts up. */
export interface StunCounters {
  /** Datagrams by what became of them, and failed reads. */
  requests: { success: number; not_stun: number; read_error: number; write_error: number };
  /** Answered requests by the client's address family. */
  families: { ipv4: number; ipv6: number };
}

/** The STUN server could not start. Exit code 1. */
export class StunServerError extends Error {
  override readonly name = "StunServerError";
  readonly exitCode = 1;
}

/** Room for one datagram; requests are 40 bytes, anything longer is cut and then refused. */
const DATAGRAM_ROOM = 2048;

/** Pause after a failed read, in milliseconds, so that a broken socket costs no CPU. */
const READ_ERROR_PAUSE_MS = 1000;

/**
 * Starts answering Binding requests. One datagram of a socket is in work at a time, so a flood costs
 * the kernel's socket buffer and nothing else.
 *
 * @throws {StunServerError} when the address cannot be listened on
 */
export function startStunServer(options: StunServerOptions): Promise<StunServer> {
  return Promise.try(() => new StunServer(...listen(options)));
}

type Sockets = [Deno.DatagramConn, ...Deno.DatagramConn[]];

function listen({ hostname, port, takeOver = false }: StunServerOptions): Sockets {
  // Shared from the start, so that a replacement can take over; so claimed without sharing first.
  const open = (hostname: string, port: number) => {
    const where = { transport: "udp", hostname, port } as const;
    if (port !== 0 && !takeOver) Deno.listenDatagram(where).close();
    return Deno.listenDatagram({ ...where, reuseAddress: true });
  };
  try {
    if (hostname !== "" && hostname !== "::") return [open(hostname, port)];
    const before = socketFds();
    let six: Deno.DatagramConn;
    try {
      six = open("::", port);
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) throw error;
      return [open("0.0.0.0", port)]; // no IPv6 on this host
    }
    const given = (six.addr as Deno.NetAddr).port;
    const fd = newSocketFd(before, { port: given });
    if (fd === undefined || isDualStack(fd) !== false) return [six];
    try {
      return [six, open("0.0.0.0", given)];
    } catch (error) {
      six.close();
      throw error;
    }
  } catch (error) {
    const shown = hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
    const remedy = "choose another --stun-port or switch STUN off with --stun=false";
    if (error instanceof Deno.errors.AddrInUse) {
      throw new StunServerError(`Cannot serve STUN on ${shown}: UDP port in use; ${remedy}`);
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new StunServerError(`Cannot serve STUN on ${shown}: ${reason}; ${remedy}`);
  }
}

/** A running STUN server. */
export class StunServer implements AsyncDisposable {
  /** The address it listens on. */
  readonly hostname: string;
  /** The UDP port it listens on. */
  readonly port: number;
  /** Counters to read from. */
  readonly counters: StunCounters = {
    requests: { success: 0, not_stun: 0, read_error: 0, write_error: 0 },
    families: { ipv4: 0, ipv6: 0 },
  };
  readonly #sockets: Sockets;
  readonly #closing = new AbortController();
  readonly #done: Promise<unknown>;

  /** @param sockets UDP sockets on one port, owned by the server from now on */
  constructor(...sockets: Sockets) {
    this.#sockets = sockets;
    ({ hostname: this.hostname, port: this.port } = sockets[0].addr as Deno.NetAddr);
    this.#done = Promise.all(sockets.map((socket) => this.#serve(socket)));
  }

  /** Stops; resolves when nothing is in work any more. */
  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      for (const socket of this.#sockets) socket.close();
    }
    await this.#done;
  }

  /** Same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #serve(socket: Deno.DatagramConn): Promise<void> {
    const log = getLogger(["nexd", "stun"]);
    const { requests, families } = this.counters;
    const room = new Uint8Array(DATAGRAM_ROOM);
    let lastRead = true;
    while (!this.#closing.signal.aborted) {
      let datagram: Uint8Array;
      let from: Deno.NetAddr;
      try {
        const received = await socket.receive(room);
        datagram = received[0];
        from = received[1] as Deno.NetAddr;
        lastRead = true;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        requests.read_error++;
        if (isOneDatagram(error)) continue;
        if (lastRead) log.warn("Cannot read STUN datagram, trying again: {error}", { error });
        lastRead = false;
        await this.#pause();
        continue;
      }
      const txid = parseBindingRequest(datagram);
      if (txid === undefined) {
        requests.not_stun++;
        continue;
      }
      try {
        const address = from.hostname;
        const answer = encodeBindingResponse(txid, { address, port: from.port });
        await socket.send(answer, from);
        // Counted by the answer's size: its family is that of the unmapped address.
        if (answer.length === 32) families.ipv4++;
        else families.ipv6++;
        requests.success++;
      } catch {
        if (this.#closing.signal.aborted) return;
        requests.write_error++; // a client out of reach, or a spoofed address
      }
    }
  }

  #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { signal } = this.#closing;
    const timer = setTimeout(resolve, READ_ERROR_PAUSE_MS);
    signal.addEventListener("abort", () => resolve(), { once: true });
    return promise.finally(() => clearTimeout(timer));
  }
}
