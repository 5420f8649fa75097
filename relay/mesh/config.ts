/**
 * What the operator says of the mesh: the key that its relays share, and where they are.
 */
import { parseHostPort } from "../net/mod.ts";
import { MeshError } from "./error.ts";

/** Another relay of the region. */
export interface MeshPeer {
  /** Its name: for TLS and in the request. */
  host: string;
  port: number;
  /** Where to connect to instead, e.g. in a private network. */
  dial?: { hostname: string; port: number };
}

const HTTPS = 443;

/**
 * Reads a mesh key: 64 hex digits in either case, white space around them.
 *
 * @throws MeshError for anything else; the text is not shown, it may be nearly the key
 */
export function parseMeshKey(text: string): Uint8Array {
  const hex = text.trim();
  if (!/^[0-9a-fA-F]{64}$/.test(hex)) {
    throw new MeshError(
      `Cannot use mesh key of ${hex.length} characters: it must be 64 hex digits; ` +
        "make one with: openssl rand -hex 32",
      2,
    );
  }
  return Uint8Array.fromHex(hex);
}

/**
 * Reads a mesh key file.
 *
 * @throws MeshError when it cannot be read or holds no mesh key
 */
export async function loadMeshKey(file: string): Promise<Uint8Array> {
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "there is none" : "it cannot be read";
    throw new MeshError(
      `Cannot load mesh key from ${file}: ${reason}; check --mesh-psk-file and who may read it`,
    );
  }
  try {
    return parseMeshKey(text);
  } catch (error) {
    if (error instanceof MeshError) error.message += ` (in ${file})`;
    throw error;
  }
}

/**
 * Reads the relays to join: `host[:port][/dialhost[:port]]`, also several with commas between.
 *
 * @throws MeshError or AddressError with the entry that cannot be read
 */
export function parseMeshWith(entries: readonly string[]): MeshPeer[] {
  const peers: MeshPeer[] = [];
  for (const entry of entries.flatMap((text) => text.split(",")).map((text) => text.trim())) {
    if (entry === "") continue;
    const [host, dial, ...more] = entry.split("/");
    if (more.length > 0) {
      throw new MeshError(`Cannot mesh with "${entry}": write host or host/dialhost`, 2);
    }
    const { hostname, port } = parseHostPort(host!, HTTPS);
    const peer: MeshPeer = { host: hostname, port };
    if (dial !== undefined) peer.dial = parseHostPort(dial, port);
    if (hostname === "" || peer.dial?.hostname === "") {
      throw new MeshError(`Cannot mesh with "${entry}": a host is missing`, 2);
    }
    peers.push(peer);
  }
  return peers;
}

/** The peer as people write it: its host, with the port when that is not 443. */
export function nameOf(peer: MeshPeer): string {
  const host = peer.host.includes(":") ? `[${peer.host}]` : peer.host;
  return peer.port === HTTPS ? host : `${host}:${peer.port}`;
}
