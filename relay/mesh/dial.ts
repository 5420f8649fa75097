/**
 * Connecting to another relay of the region, as any client does, with the mesh key in the login.
 */
import {
  BoxKey,
  decodeServerKey,
  DerpError,
  encodeClientInfo,
  encodeWatchConns,
  FrameType,
  keysEqual,
  keyToHex,
  openServerInfo,
  PROTOCOL_VERSION,
  upgradeRequest,
} from "../derp/mod.ts";
import { hangUp } from "../net/mod.ts";
import { type MeshPeer, nameOf } from "./config.ts";
import { FrameStream, tryClose, writeAll } from "./stream.ts";

/** Who dials. */
export interface Dialer {
  identity: { privateKey: Uint8Array; publicKey: Uint8Array };
  meshKey: Uint8Array;
  /** PEM of certificate authorities to trust beside the system's. */
  caCerts?: string[];
  /** Plain HTTP, for development. */
  plain?: boolean;
}

/** A stream that is logged in and watches. */
export interface Dialed {
  conn: Deno.Conn;
  frames: FrameStream;
}

const MAX_HEAD = 16 * 1024;

/**
 * Connects, logs in and asks to watch.
 *
 * @param signal ends the attempt, at any point of it
 * @returns undefined when the relay turns out to be this very one
 * @throws the error of the network, of TLS, or DerpError
 */
export async function dialRelay(
  peer: MeshPeer,
  dialer: Dialer,
  signal: AbortSignal,
): Promise<Dialed | undefined> {
  const { hostname, port } = peer.dial ?? { hostname: peer.host, port: peer.port };
  const tcp = await Deno.connect({ hostname, port, signal });
  let conn: Deno.Conn = tcp;
  const { localAddr, remoteAddr } = tcp;
  const abort = () => {
    tryClose(conn);
    // A handshake goes on behind that; a relay that is stuck would gather what has been given up.
    if (!dialer.plain) hangUp(localAddr.port, [remoteAddr]);
  };
  signal.addEventListener("abort", abort);
  try {
    signal.throwIfAborted();
    tcp.setNoDelay(true);
    if (!dialer.plain) {
      const { caCerts = [] } = dialer;
      conn = await Deno.startTls(tcp, { hostname: peer.host, caCerts });
    }
    await writeAll(conn, upgradeRequest(nameOf(peer)));
    const dialed = { conn, frames: new FrameStream(conn, await readHead(conn)) };
    if (await logIn(dialed, dialer)) return dialed;
    tryClose(conn);
    return undefined;
  } catch (error) {
    tryClose(conn);
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Reads the answer to the upgrade. Returns what came behind it. */
async function readHead(conn: Deno.Conn): Promise<Uint8Array> {
  const buffer = new Uint8Array(MAX_HEAD);
  let end = 0;
  while (end < MAX_HEAD) {
    const n = await conn.read(buffer.subarray(end));
    if (n === null) break;
    end += n;
    const text = String.fromCharCode(...buffer.subarray(0, end));
    const blank = text.indexOf("\r\n\r\n");
    if (blank < 0) continue;
    if (/^HTTP\/1\.[01] 101[ \r]/.test(text)) return buffer.slice(blank + 4, end);
    const status = text.slice(0, Math.min(60, text.indexOf("\r\n")));
    throw new DerpError(`it answers ${JSON.stringify(status)}, no DERP`);
  }
  throw new DerpError("it does not answer in HTTP");
}

/** The login. False when the other side has our own key. */
async function logIn({ conn, frames }: Dialed, dialer: Dialer): Promise<boolean> {
  const { identity, meshKey } = dialer;
  const serverKey = decodeServerKey(await expect(frames, FrameType.ServerKey));
  if (keysEqual(serverKey, identity.publicKey)) return false;
  const info = { meshKey: keyToHex(meshKey), version: PROTOCOL_VERSION, canAckPings: false };
  const hello = encodeClientInfo(identity.privateKey, serverKey, info);
  const watch = encodeWatchConns();
  const both = new Uint8Array(hello.length + watch.length);
  both.set(hello);
  both.set(watch, hello.length);
  await writeAll(conn, both);
  const box = new BoxKey(identity.privateKey, serverKey);
  openServerInfo(box, await expect(frames, FrameType.ServerInfo));
  return true;
}

async function expect(frames: FrameStream, type: number): Promise<Uint8Array> {
  const frame = await frames.next();
  if (frame === undefined) throw new DerpError("it ends the connection during the login");
  if (frame.type !== type) throw new DerpError(`its frame is of type ${frame.type}, not ${type}`);
  return frame.payload;
}
