/**
 * The server's part of one TLS 1.3 handshake (RFC 8446), for TLS-ALPN-01 (RFC 8737) and nothing
 * else: the CA's validator wants to see a certificate with a critical extension that the TLS library
 * of Deno refuses to serve. After the handshake the validator hangs up; no data is ever exchanged,
 * and nothing secret is protected by it. One cipher suite, two groups and one signature: those that
 * every TLS 1.3 client must have, and X25519.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import {
  createCipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";
import type { AlpnChallenge } from "../options.ts";
import type { ClientHello } from "./client_hello.ts";

/** The protocol that a validator offers. */
export const ACME_TLS = "acme-tls/1";

const TLS_1_3 = 0x0304;
const AES_128_GCM_SHA256 = 0x1301;
const ECDSA_P256_SHA256 = 0x0403;
const RECORD = { changeCipherSpec: 20, alert: 21, handshake: 22, data: 23 } as const;
const MESSAGE = {
  serverHello: 2,
  encryptedExtensions: 8,
  certificate: 11,
  certificateVerify: 15,
  finished: 20,
} as const;

/** Groups, with the DER before a public key of each. */
const GROUPS = [
  { id: 29, name: "x25519", spki: "302a300506032b656e032100", size: 32 },
  {
    id: 23,
    name: "prime256v1",
    spki: "3059301306072a8648ce3d020106082a8648ce3d030107034200",
    size: 65,
  },
] as const;

/**
 * The server's first and only flight.
 *
 * @param hello of a client that offers `acme-tls/1`
 * @returns bytes to send; an alert when the client cannot do what is needed
 */
export function serverFlight(hello: ClientHello, challenge: AlpnChallenge): Uint8Array {
  const group = GROUPS.find(({ id }) => hello.keyShares.has(id));
  const able = hello.versions.includes(TLS_1_3) &&
    hello.cipherSuites.includes(AES_128_GCM_SHA256) &&
    hello.signatures.includes(ECDSA_P256_SHA256);
  const handshakeFailure = record(RECORD.alert, bytes(2, 40));
  if (group === undefined || !able) return handshakeFailure;
  const agreed = agree(group, hello.keyShares.get(group.id)!);
  if (agreed === undefined) return handshakeFailure;

  const serverHello = message(
    MESSAGE.serverHello,
    bytes(3, 3),
    randomBytes(32),
    block(1, hello.sessionId),
    number(2, AES_128_GCM_SHA256),
    bytes(0),
    block(
      2,
      concat(
        extension(43, number(2, TLS_1_3)),
        extension(51, concat(number(2, group.id), block(2, agreed.share))),
      ),
    ),
  );
  const transcript = createHash("sha256").update(hello.message).update(serverHello);
  const zero = new Uint8Array(32);
  const early = hmac(zero, zero);
  const handshake = hmac(expand(early, "derived", hash(bytes()), 32), agreed.secret);
  const secret = expand(handshake, "s hs traffic", transcript.copy().digest(), 32);

  const add = (part: Uint8Array) => {
    transcript.update(part);
    return part;
  };
  const key = createPrivateKey(challenge.key);
  const flight = [
    add(message(
      MESSAGE.encryptedExtensions,
      block(2, extension(16, block(2, block(1, new TextEncoder().encode(ACME_TLS))))),
    )),
    add(message(
      MESSAGE.certificate,
      bytes(0),
      block(3, concat(block(3, derOf(challenge.cert)), bytes(0, 0))),
    )),
  ];
  flight.push(add(certificateVerify(key, transcript.copy().digest())));
  const finished = hmac(expand(secret, "finished", bytes(), 32), transcript.copy().digest());
  flight.push(message(MESSAGE.finished, finished));
  return concat(
    record(RECORD.handshake, serverHello),
    record(RECORD.changeCipherSpec, bytes(1)), // for boxes in between (RFC 8446 appendix D.4)
    sealed(secret, concat(...flight)),
  );
}

function agree(
  { name, spki, size }: (typeof GROUPS)[number],
  theirs: Uint8Array,
): { share: Uint8Array; secret: Uint8Array } | undefined {
  const prefix = Uint8Array.fromHex(spki);
  try {
    const publicKey = createPublicKey({
      key: Buffer.from(concat(prefix, theirs)),
      format: "der",
      type: "spki",
    });
    const pair = name === "x25519"
      ? generateKeyPairSync("x25519")
      : generateKeyPairSync("ec", { namedCurve: name });
    const secret = diffieHellman({ privateKey: pair.privateKey, publicKey });
    const share = pair.publicKey.export({ type: "spki", format: "der" }).subarray(-size);
    return { share, secret };
  } catch {
    return undefined; // no point of the curve
  }
}

/** RFC 8446 section 4.4.3. */
function certificateVerify(key: KeyObject, transcript: Uint8Array): Uint8Array {
  const context = new TextEncoder().encode("TLS 1.3, server CertificateVerify\0");
  const signature = sign("sha256", concat(new Uint8Array(64).fill(0x20), context, transcript), key);
  return message(MESSAGE.certificateVerify, number(2, ECDSA_P256_SHA256), block(2, signature));
}

/** The one encrypted record: its number is 0, so the nonce is the IV itself (section 5.3). */
function sealed(secret: Uint8Array, content: Uint8Array): Uint8Array {
  const key = expand(secret, "key", bytes(), 16);
  const iv = expand(secret, "iv", bytes(), 12);
  const plain = concat(content, bytes(RECORD.handshake));
  const header = record(RECORD.data, new Uint8Array(plain.length + 16)).subarray(0, 5);
  const cipher = createCipheriv("aes-128-gcm", key, iv).setAAD(header);
  return concat(header, cipher.update(plain), cipher.final(), cipher.getAuthTag());
}

/** HKDF-Expand-Label for at most one block of output (section 7.1). */
function expand(secret: Uint8Array, label: string, context: Uint8Array, length: number) {
  const name = new TextEncoder().encode(`tls13 ${label}`);
  const info = concat(number(2, length), block(1, name), block(1, context), bytes(1));
  return hmac(secret, info).subarray(0, length);
}

function hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update(data).digest();
}

function hash(data: Uint8Array): Uint8Array {
  return createHash("sha256").update(data).digest();
}

function derOf(pem: string): Uint8Array {
  return Uint8Array.fromBase64(pem.replaceAll(/-----[A-Z ]+-----|\s/g, ""));
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

/** A number in so many bytes. */
function number(size: number, value: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => value >>> 8 * (size - 1 - i) & 0xff);
}

/** Bytes after their length. */
function block(size: number, content: Uint8Array): Uint8Array {
  return concat(number(size, content.length), content);
}

function extension(type: number, content: Uint8Array): Uint8Array {
  return concat(number(2, type), block(2, content));
}

function message(type: number, ...parts: Uint8Array[]): Uint8Array {
  return concat(bytes(type), block(3, concat(...parts)));
}

function record(type: number, content: Uint8Array): Uint8Array {
  return concat(bytes(type, 3, 3), block(2, content));
}

function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
