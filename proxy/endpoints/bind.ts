/** The loopback address of a peer: taken, made usable where that is needed, and bound. */
import { getLogger } from "@logtape/logtape";
import type { Capture } from "../capture/mod.ts";
import type { Endpoints } from "./endpoints.ts";
import { ProxyError } from "../error.ts";
import type { Peer } from "../peer.ts";
import type { LoopbackAddresses } from "../types.ts";

const log = getLogger(["nexd", "proxy"]);

/** Addresses tried for a peer before it is clear that the port itself is taken. */
const BIND_TRIES = 64;

/** What binding works on. */
interface BindParts {
  endpoints: Endpoints;
  capture: Capture<Peer>;
  port: number;
  loopback: LoopbackAddresses | undefined;
  /** Throws when the proxy has been closed. */
  checkOpen(): void;
}

/**
 * Takes an address and opens the socket; goes to the next where another program has it.
 *
 * @throws ProxyError when none can be had
 */
export async function bindEndpoint(peer: Peer, parts: BindParts): Promise<void> {
  const { endpoints, capture, port, loopback, checkOpen } = parts;
  const before = endpoints.addressOf(peer.name);
  const tried: string[] = [];
  while (tried.length < BIND_TRIES) {
    const address = endpoints.take(peer.name);
    if (address === undefined) {
      throw new ProxyError(
        `Cannot give peer ${peer.name} a loopback address: all are in use; remove peers`,
      );
    }
    try {
      if (loopback !== undefined) {
        await loopback.add(address);
        checkOpen();
      }
      peer.socket = capture.open(address, port, peer);
      peer.endpoint = `${address}:${port}`;
      return;
    } catch (error) {
      await giveUp(address, loopback);
      // EADDRNOTAVAIL: this system has not the whole of 127.0.0.0/8 on its loopback.
      if (
        !(error instanceof Deno.errors.AddrInUse || error instanceof Deno.errors.AddrNotAvailable)
      ) {
        throw new ProxyError(
          `Cannot open ${address}:${port} for peer ${peer.name}: ` +
            `${error instanceof Error ? error.message : error}; ` +
            "check the limit of open files and the port",
          { cause: error },
        );
      }
      endpoints.block(peer.name);
      tried.push(address);
    }
  }
  // It is the port, not the addresses: once it is free, peers shall have theirs.
  endpoints.unblock(tried);
  if (before !== undefined) endpoints.restore(peer.name, before);
  throw new ProxyError(
    `Cannot open port ${port} on a loopback address: in use by another program; ` +
      "stop it or choose another port",
  );
}

/** Gives up a peer's address, whose socket is closed. Never throws. */
export async function unbindEndpoint(
  { endpoint }: Peer,
  loopback: LoopbackAddresses | undefined,
): Promise<void> {
  await giveUp(endpoint.slice(0, endpoint.lastIndexOf(":")), loopback);
}

async function giveUp(address: string, loopback: LoopbackAddresses | undefined): Promise<void> {
  await loopback?.remove(address).catch((error) =>
    log.warn("Cannot give up {address}: {reason}", { address, reason: String(error) })
  );
}
