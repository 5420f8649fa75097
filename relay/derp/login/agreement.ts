/**
 * X25519 by the runtime's native code: a sixth of what the same costs in JavaScript, and without
 * a promise, whose turns and thread change would cost as much again.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from "node:crypto";
import { KEY_LENGTH } from "../constants.ts";
import { DerpError } from "../error.ts";
import { isLowOrderPoint } from "../keys.ts";

/** What stands before the 32 key bytes in PKCS #8 and SubjectPublicKeyInfo (RFC 8410). */
const PKCS8_HEAD = Uint8Array.fromHex("302e020100300506032b656e04220420");
const SPKI_HEAD = Uint8Array.fromHex("302a300506032b656e032100");

/** A private key as the native code wants it: made once for a key that agrees often. */
export class AgreementKey {
  readonly #key: KeyObject;

  /**
   * @param privateKey 32 bytes, clamped or not
   * @throws {DerpError} when the length is another
   */
  constructor(privateKey: Uint8Array) {
    const encoded = withHead(PKCS8_HEAD, privateKey);
    this.#key = createPrivateKey({ key: encoded, format: "der", type: "pkcs8" });
    encoded.fill(0);
  }

  /**
   * The secret shared with whoever has the private key of `publicKey`: 32 bytes, the caller's own,
   * to be wiped by it (RFC 7748 section 6.1).
   *
   * @throws {DerpError} when a length is wrong or the public key is a low-order point
   */
  agree(publicKey: Uint8Array): Uint8Array {
    const encoded = withHead(SPKI_HEAD, publicKey);
    if (isLowOrderPoint(publicKey)) {
      throw new DerpError("Cannot make box key: the public key is a low-order point");
    }
    try {
      const peer = createPublicKey({ key: encoded, format: "der", type: "spki" });
      return diffieHellman({ privateKey: this.#key, publicKey: peer });
    } catch {
      throw new DerpError("Cannot make box key: the keys share no secret");
    }
  }
}

function withHead(head: Uint8Array, key: Uint8Array): Buffer {
  if (key.length !== KEY_LENGTH) {
    throw new DerpError(`Cannot make box key: a key is not ${KEY_LENGTH} bytes`);
  }
  // Memory of its own, not of the pool that all small buffers share: it may hold a private key.
  const encoded = Buffer.alloc(head.length + KEY_LENGTH);
  encoded.set(head);
  encoded.set(key, head.length);
  return encoded;
}
