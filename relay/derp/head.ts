/**
 * The HTTP/1.1 heads around the upgrade to DERP, as bytes.
 *
 * The client asks `GET /derp` with `Upgrade: DERP`; the server answers 101 and its ServerKey frame
 * follows in the same write. In fast start, when the client already knows the server's key from
 * the TLS chain, ClientInfo follows the request at once and the server leaves the 101 out.
 *
 * @module
 */

import { PROTOCOL_VERSION } from "./constants.ts";
import { DerpError } from "./error.ts";
import { keyToHex } from "./keys.ts";

const utf8 = new TextEncoder();

/** How to ask for the upgrade. */
export interface UpgradeRequestOptions {
  /** Path of the endpoint. Default: /derp */
  path?: string;
  /** Whether ClientInfo follows at once and no 101 is wanted. Default: false */
  fastStart?: boolean;
  /** Name of the node of this region the client would rather be on. */
  idealNode?: string;
}

/**
 * The client's request head, with its blank line.
 *
 * @param host for the Host header: name, with `:port` when it is not the scheme's own
 * @throws {DerpError} when a value would break the head
 */
export function upgradeRequest(host: string, options: UpgradeRequestOptions = {}): Uint8Array {
  const { path = "/derp", fastStart = false, idealNode = "" } = options;
  for (const value of [host, path]) {
    if (!/^[!-~]+$/.test(value)) throw new DerpError(`Cannot ask for upgrade: "${value}" in head`);
  }
  if (!/^[!-~]*$/.test(idealNode)) {
    throw new DerpError(`Cannot ask for upgrade: "${idealNode}" in head`);
  }
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    "User-Agent: Go-http-client/1.1",
    "Connection: Upgrade",
    ...fastStart ? ["Derp-Fast-Start: 1"] : [],
    ...idealNode ? [`Ideal-Node: ${idealNode}`] : [],
    "Upgrade: DERP",
  ];
  return utf8.encode(lines.join("\r\n") + "\r\n\r\n");
}

/** The server's 101 head, with its blank line; the ServerKey frame belongs right behind it. */
export function upgradeResponse(serverPublicKey: Uint8Array): Uint8Array {
  const lines = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: DERP",
    "Connection: Upgrade",
    `Derp-Version: ${PROTOCOL_VERSION}`,
    `Derp-Public-Key: ${keyToHex(serverPublicKey)}`,
  ];
  return utf8.encode(lines.join("\r\n") + "\r\n\r\n");
}
