/**
 * The two sealed frames of a login: ClientInfo and ServerInfo, JSON inside a box.
 *
 * @module
 */

import type { AgreementKey } from "./agreement.ts";
import { BoxKey } from "./box.ts";
import {
  FrameType,
  KEY_LENGTH,
  MAX_CLIENT_INFO,
  MAX_FRAME,
  NONCE_LENGTH,
  PROTOCOL_VERSION,
} from "../constants.ts";
import { DerpError } from "../error.ts";
import { encodeFrame } from "../frames.ts";
import { booleanMember, integerMember, parseMembers, stringMember } from "./json.ts";
import { isLowOrderPoint, publicKeyOf } from "../keys.ts";

/** What a client says about itself. */
export interface ClientInfo {
  /** 64 hex digits: proves another relay of the same region. Lower case when decoded. */
  meshKey?: string;
  /** The client's protocol version; absent means 0, a client that does not say. */
  version?: number;
  /** Whether the client answers Ping with Pong. */
  canAckPings: boolean;
  /** Whether the client is a monitoring probe. Gives no rights. */
  isProber?: boolean;
  /** Free label for statistics, hostile text of at most {@linkcode MAX_APP_NAME} characters. */
  appName?: string;
}

/** What a server says when it accepts a login. */
export interface ServerInfo {
  /** The server's protocol version; 0 when it does not say. */
  version: number;
  /** Rate the client should keep its SendPacket frames to, in bytes per second; absent: none. */
  tokenBucketBytesPerSecond?: number;
  /** Bytes the client may send at once on top of that rate. */
  tokenBucketBytesBurst?: number;
}

/** A ClientInfo frame that opened. */
export interface OpenedClientInfo {
  /** The client's public key, proven: whoever sealed the box has its private key. A copy. */
  publicKey: Uint8Array;
  /** What the client said. */
  info: ClientInfo;
  /** The box key shared with that client, for ServerInfo. */
  box: BoxKey;
}

/** Characters of AppName kept; servers hold it for every client. */
export const MAX_APP_NAME = 128;

const utf8 = new TextEncoder();

/**
 * Builds the ClientInfo frame.
 *
 * @param privateKey the client's private key
 * @param serverPublicKey from the ServerKey frame or the meta certificate
 * @param nonce 24 bytes; random when left out
 * @throws {DerpError} when a key is unusable
 */
export function encodeClientInfo(
  privateKey: Uint8Array,
  serverPublicKey: Uint8Array,
  info: ClientInfo,
  nonce?: Uint8Array,
): Uint8Array {
  const json = JSON.stringify({
    meshKey: info.meshKey,
    version: info.version || undefined,
    CanAckPings: info.canAckPings,
    IsProber: info.isProber || undefined,
    AppName: info.appName || undefined,
  });
  const sealed = new BoxKey(privateKey, serverPublicKey).seal(utf8.encode(json), nonce);
  return encodeFrame(FrameType.ClientInfo, publicKeyOf(privateKey), sealed);
}

/**
 * Opens a ClientInfo payload, on the server.
 *
 * @param serverPrivateKey 32 bytes, or what was made of them before: that is for many logins
 *
 * @throws {DerpError} when its length is not 56 to 262144, the key is zero or of low order, the
 * box does not open, or the JSON is not what a client may say. Each one ends the connection.
 */
export function openClientInfo(
  serverPrivateKey: Uint8Array | AgreementKey,
  payload: Uint8Array,
): OpenedClientInfo {
  if (payload.length < KEY_LENGTH + NONCE_LENGTH || payload.length > MAX_CLIENT_INFO) {
    throw new DerpError(
      `Cannot read ClientInfo: ${payload.length} bytes, not 56 to ${MAX_CLIENT_INFO}`,
    );
  }
  const publicKey = payload.slice(0, KEY_LENGTH);
  if (isLowOrderPoint(publicKey)) {
    throw new DerpError("Cannot accept client: its public key is a low-order point");
  }
  const box = new BoxKey(serverPrivateKey, publicKey);
  const plain = box.open(payload.subarray(KEY_LENGTH));
  return { publicKey, info: parseClientInfo(plain), box };
}

function parseClientInfo(json: Uint8Array): ClientInfo {
  const info: ClientInfo = { canAckPings: false };
  parseMembers("ClientInfo", json, {
    meshkey(member) {
      // Unlike the others, null is refused too: a mesh key is there and whole, or it is absent.
      if (typeof member.value !== "string" || !/^[0-9a-fA-F]{64}$/.test(member.value)) {
        throw new DerpError("Cannot read ClientInfo: meshKey is not 64 hex digits");
      }
      info.meshKey = member.value.toLowerCase();
    },
    version: integerMember("ClientInfo", (value) => info.version = value),
    canackpings: booleanMember("ClientInfo", (value) => info.canAckPings = value),
    isprober: booleanMember("ClientInfo", (value) => info.isProber = value),
    appname: stringMember("ClientInfo", (value) => info.appName = value.slice(0, MAX_APP_NAME)),
  });
  return info;
}

/**
 * Builds the ServerInfo frame.
 *
 * @param box from {@linkcode openClientInfo}
 * @param info only the version when left out, as the reference server does
 * @param nonce 24 bytes; random when left out
 */
export function encodeServerInfo(
  box: BoxKey,
  info: ServerInfo = { version: PROTOCOL_VERSION },
  nonce?: Uint8Array,
): Uint8Array {
  const json = JSON.stringify({
    version: info.version || undefined,
    TokenBucketBytesPerSecond: info.tokenBucketBytesPerSecond || undefined,
    TokenBucketBytesBurst: info.tokenBucketBytesBurst || undefined,
  });
  return encodeFrame(FrameType.ServerInfo, box.seal(utf8.encode(json), nonce));
}

/**
 * Opens a ServerInfo payload, on the client.
 *
 * @param box made of the client's private and the server's public key
 * @throws {DerpError} when the box does not open or the JSON is wrong: the connection is dead
 */
export function openServerInfo(box: BoxKey, payload: Uint8Array): ServerInfo {
  if (payload.length > MAX_FRAME) {
    throw new DerpError(`Cannot read ServerInfo: ${payload.length} bytes, more than ${MAX_FRAME}`);
  }
  const info: ServerInfo = { version: 0 };
  const what = "ServerInfo";
  parseMembers(what, box.open(payload), {
    version: integerMember(what, (value) => info.version = value),
    tokenbucketbytespersecond: integerMember(what, (value) => {
      if (value > 0) info.tokenBucketBytesPerSecond = value;
      else delete info.tokenBucketBytesPerSecond;
    }),
    tokenbucketbytesburst: integerMember(what, (value) => {
      if (value > 0) info.tokenBucketBytesBurst = value;
      else delete info.tokenBucketBytesBurst;
    }),
  });
  return info;
}
