/**
 * The login on a fresh DERP stream: ServerKey out, ClientInfo in, ServerInfo out.
 */
import {
  AgreementKey,
  encodeServerInfo,
  encodeServerKey,
  FrameType,
  HEADER_LENGTH,
  KEY_LENGTH,
  MAX_CLIENT_INFO,
  NONCE_LENGTH,
  openClientInfo,
  type OpenedClientInfo,
  payloadLength,
  upgradeResponse,
} from "../derp/mod.ts";
import type { Socket } from "./connection.ts";
import { SMALL_READ, TLS_RECORD } from "./limits.ts";

/** The relay's DERP identity. */
export interface Identity {
  privateKey: Uint8Array;
  publicKey: Uint8Array;
}

/** What every login of an identity needs, made once. */
interface Prepared {
  readonly key: AgreementKey;
  /** The server key, and the same behind the answer to the upgrade. */
  readonly bare: Uint8Array;
  readonly greeting: Uint8Array;
}

const prepared = new WeakMap<Identity, Prepared>();

function prepare(identity: Identity): Prepared {
  let known = prepared.get(identity);
  if (known === undefined) {
    const head = upgradeResponse(identity.publicKey);
    const bare = encodeServerKey(identity.publicKey);
    const greeting = new Uint8Array(head.length + bare.length);
    greeting.set(head);
    greeting.set(bare, head.length);
    known = { key: new AgreementKey(identity.privateKey), bare, greeting };
    prepared.set(identity, known);
  }
  return known;
}

/** A login that was accepted. */
export interface Login extends OpenedClientInfo {
  /** The sealed ServerInfo, the first frame the client must get. */
  serverInfo: Uint8Array;
  /** Bytes that came behind ClientInfo: frames already. */
  rest: Uint8Array;
}

/**
 * Writes the greeting in one piece and reads ClientInfo.
 *
 * @param initial bytes that came behind the request head
 * @param greet whether the 101 answer precedes the server key (not in fast start)
 * @returns undefined when the stream ended first
 * @throws DerpError when the client is refused; any socket error
 */
export async function login(
  socket: Socket,
  identity: Identity,
  initial: Uint8Array,
  greet: boolean,
): Promise<Login | undefined> {
  const { key, bare, greeting } = prepare(identity);
  const hello = greet ? greeting : bare;
  for (let at = await socket.write(hello); at < hello.length;) {
    at += await socket.write(hello.subarray(at));
  }

  let buffer = initial;
  let end = initial.length;
  for (;;) {
    if (end >= 1 && buffer[0] !== FrameType.ClientInfo) return undefined;
    if (end >= HEADER_LENGTH) {
      const length = payloadLength(buffer, 0);
      if (length < KEY_LENGTH + NONCE_LENGTH || length > MAX_CLIENT_INFO) return undefined;
      const whole = HEADER_LENGTH + length;
      if (end >= whole) {
        const opened = openClientInfo(key, buffer.subarray(HEADER_LENGTH, whole));
        const serverInfo = encodeServerInfo(opened.box);
        return { ...opened, serverInfo, rest: buffer.subarray(whole, end) };
      }
    }
    if (end === buffer.length || buffer === initial) {
      // Grows with what has come, not with what a header promises.
      const grown = new Uint8Array(Math.max(SMALL_READ, 2 * end));
      grown.set(buffer.subarray(0, end));
      buffer = grown;
    }
    // At most a record at a time, so that what comes behind ClientInfo stays small.
    const n = await socket.read(buffer.subarray(end, end + TLS_RECORD));
    if (n === null) return undefined;
    end += n;
  }
}
