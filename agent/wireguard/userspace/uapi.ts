/**
 * The text of WireGuard's cross-platform userspace API: `key=value` lines, an empty line ends a
 * request or an answer, `errno=` is the last line of every answer.
 * https://www.wireguard.com/xplatform/#cross-platform-userspace-implementation
 *
 * Pure: strings in, values out. Keys are lower-case hex here, as on the wire.
 *
 * @module
 */
import type { PeerSet, PeerState, TunnelState } from "../backend.ts";

/** An answer that is malformed, too large, or says no. */
export class UapiError extends Error {
  override name = "UapiError";
  /** The positive errno of the answer; 0 when the answer itself is bad. */
  readonly errno: number;

  constructor(message: string, errno = 0) {
    super(message);
    this.errno = errno;
  }
}

/** Bytes of one answer, at most: some 16 thousand peers with a few allowed IPs each. */
export const MAX_ANSWER = 16 * 1024 * 1024;
const MAX_LINE = 1024;
const MAX_PEERS = 1 << 16;
const MAX_ALLOWED_IPS = 1 << 18;

/** Request for the whole state. */
export const GET_REQUEST = "get=1\n\n";

/** The interface part of a set request. */
export interface DeviceSet {
  /** hex */
  privateKey?: string;
  listenPort?: number;
  /** 0 removes the mark. */
  fwmark?: number;
}

/** A whole set request. Values with a line break would be further lines: they are refused. */
export function encodeSet(device: DeviceSet, peers: Iterable<PeerSet> = []): string {
  const lines = ["set=1"];
  const line = (key: string, value: string | number | boolean) => {
    const text = `${key}=${value}`;
    if (/[\n\r\0]/.test(text)) throw new UapiError(`Cannot encode ${key}: it has a line break`);
    lines.push(text);
  };
  if (device.privateKey !== undefined) line("private_key", device.privateKey);
  if (device.listenPort !== undefined) line("listen_port", device.listenPort);
  if (device.fwmark !== undefined) line("fwmark", device.fwmark);
  for (const peer of peers) {
    line("public_key", peer.publicKey);
    if (peer.remove) {
      line("remove", true);
      continue;
    }
    if (peer.updateOnly) line("update_only", true);
    if (peer.endpoint !== undefined) line("endpoint", peer.endpoint);
    if (peer.keepaliveSeconds !== undefined) {
      if (peer.wake && peer.keepaliveSeconds > 0) line("persistent_keepalive_interval", 0);
      line("persistent_keepalive_interval", peer.keepaliveSeconds);
    }
    if (peer.replaceAllowedIps) line("replace_allowed_ips", true);
    for (const prefix of peer.allowedIps ?? []) line("allowed_ip", prefix);
  }
  return lines.join("\n") + "\n\n";
}

/** Checks the answer to a set request. Throws {@linkcode UapiError} with its errno when it is no. */
export function parseSetAnswer(text: string): void {
  eachLine(text, () => {
    throw new UapiError("Unexpected line in the answer to set");
  });
}

/** Reads the answer to {@linkcode GET_REQUEST}. Unknown keys are skipped. Throws {@linkcode UapiError}. */
export function parseGetAnswer(text: string): TunnelState {
  const device: TunnelState = { listenPort: 0, fwmark: 0, peers: [] };
  let peer: PeerState | undefined;
  let allowed = 0;
  eachLine(text, (key, value) => {
    if (key === "public_key") {
      if (device.peers.length === MAX_PEERS) throw new UapiError(`More than ${MAX_PEERS} peers`);
      peer = {
        publicKey: hexKey(value),
        lastHandshake: 0,
        rxBytes: 0,
        txBytes: 0,
        keepaliveSeconds: 0,
        allowedIps: [],
      };
      device.peers.push(peer);
    } else if (peer === undefined) {
      if (key === "listen_port") device.listenPort = count(key, value, 65535);
      else if (key === "fwmark") device.fwmark = count(key, value, 0xffffffff);
    } else if (key === "endpoint") peer.endpoint = value;
    else if (key === "last_handshake_time_sec") peer.lastHandshake += count(key, value) * 1000;
    else if (key === "last_handshake_time_nsec") {
      peer.lastHandshake += Math.floor(count(key, value, 999_999_999) / 1e6);
    } else if (key === "rx_bytes") peer.rxBytes = count(key, value);
    else if (key === "tx_bytes") peer.txBytes = count(key, value);
    else if (key === "persistent_keepalive_interval") {
      peer.keepaliveSeconds = count(key, value, 65535);
    } else if (key === "allowed_ip") {
      if (++allowed > MAX_ALLOWED_IPS) throw new UapiError(`More than ${MAX_ALLOWED_IPS} prefixes`);
      peer.allowedIps.push(value);
    }
  });
  return device;
}

/** Takes the lines before `errno=`; throws when the errno is not 0, or absent, or not last. */
function eachLine(text: string, take: (key: string, value: string) => void): void {
  if (text.length > MAX_ANSWER) throw new UapiError(`Answer longer than ${MAX_ANSWER} bytes`);
  let start = 0;
  while (true) {
    const end = text.indexOf("\n", start);
    if (end < 0) throw new UapiError("Answer without errno");
    if (end - start > MAX_LINE) throw new UapiError(`Line longer than ${MAX_LINE} characters`);
    const equals = text.indexOf("=", start);
    // The text of a bad line may hold a key: it goes into no message.
    if (equals <= start || equals > end) throw new UapiError("Line without a key");
    const key = text.slice(start, equals);
    const value = text.slice(equals + 1, end);
    start = end + 1;
    if (key !== "errno") {
      take(key, value);
      continue;
    }
    if (text.slice(start) !== "\n") throw new UapiError("Answer goes on after errno");
    if (!/^-?\d{1,10}$/.test(value)) throw new UapiError("Malformed errno");
    const errno = Math.abs(Number(value));
    if (errno !== 0) throw new UapiError(`WireGuard answers errno ${errno}`, errno);
    return;
  }
}

function hexKey(value: string): string {
  if (!/^[0-9a-f]{64}$/i.test(value)) throw new UapiError("Malformed public_key");
  return value.toLowerCase();
}

/** A decimal number; the byte counters are 64 bits wide, so large ones lose their last digits. */
function count(key: string, value: string, max = Number.MAX_VALUE): number {
  const number = /^\d{1,20}$/.test(value) ? Number(value) : NaN;
  if (!(number <= max)) throw new UapiError(`Malformed ${key}`);
  return number;
}
