/**
 * One interface of wireguard-go, by its control socket.
 *
 * @module
 */
import type { PeerSet, TunnelState } from "../backend.ts";
import { portTaken } from "../settings.ts";
import type { DeviceConfig } from "../types.ts";
import { encodeSet, GET_REQUEST, parseGetAnswer, parseSetAnswer, UapiError } from "./uapi.ts";
import { uapiRequest } from "./uapi_client.ts";

/** The daemon answers with its system's number. */
const EADDRINUSE: Partial<Record<typeof Deno.build.os, number>> = { linux: 98, darwin: 48 };

/** The state of the interface. */
export async function readTunnel(socket: string): Promise<TunnelState> {
  return parseGetAnswer(await uapiRequest(socket, GET_REQUEST));
}

/** Applies changes of peers, all in one request. */
export async function applyChanges(socket: string, changes: PeerSet[]): Promise<void> {
  parseSetAnswer(await uapiRequest(socket, encodeSet({}, changes)));
}

/**
 * Sets key, mark and port, and returns the port: a free one for port 0. The daemon binds while it
 * answers, so a taken port is told here.
 */
export async function configureTunnel(socket: string, config: DeviceConfig): Promise<number> {
  for (let attempt = 1;; attempt++) {
    const listenPort = config.listenPort || freePort();
    const request = encodeSet({
      privateKey: config.privateKey.toHex(),
      listenPort,
      fwmark: config.mark ?? 0,
    });
    try {
      parseSetAnswer(await uapiRequest(socket, request));
      return listenPort;
    } catch (error) {
      if (!(error instanceof UapiError) || error.errno !== EADDRINUSE[Deno.build.os]) throw error;
      if (config.listenPort === 0 && attempt < 5) continue;
      throw portTaken(listenPort);
    }
  }
}

function freePort(): number {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
  socket.close();
  return (socket.addr as Deno.NetAddr).port;
}
