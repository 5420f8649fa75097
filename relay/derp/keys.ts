/**
 * Keys and their text forms.
 *
 * A DERP key is a WireGuard key: the same 32 bytes on the same curve, written as base64 by
 * WireGuard and as prefixed hex by DERP.
 *
 * @module
 */

import { x25519 } from "@noble/curves/ed25519.js";
import { KEY_LENGTH } from "./constants.ts";
import { DerpError } from "./error.ts";

const PRIVATE_PREFIX = "privkey:";
const PUBLIC_PREFIX = "nodekey:";

/** Makes a random private key, clamped. */
export function generatePrivateKey(): Uint8Array {
  return clamp(crypto.getRandomValues(new Uint8Array(KEY_LENGTH)));
}

/** Clamps a private key in place as Curve25519 asks (RFC 7748 section 5) and returns it. */
export function clamp(key: Uint8Array): Uint8Array {
  check(key);
  key[0]! &= 0xf8;
  key[31] = (key[31]! & 0x7f) | 0x40;
  return key;
}

/** The public key of a private key, clamped or not. */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  return x25519.getPublicKey(check(privateKey));
}

/** 64 lower-case hex digits, as in the Derp-Public-Key header. */
export function keyToHex(key: Uint8Array): string {
  return check(key).toHex();
}

/**
 * Reads 64 hex digits of either case.
 *
 * @throws {DerpError} on anything else
 */
export function keyFromHex(hex: string): Uint8Array {
  if (!/^[0-9a-fA-F]{64}$/.test(hex)) {
    throw new DerpError("Cannot read key: it is not 64 hex digits");
  }
  return Uint8Array.fromHex(hex);
}

/** A public key as logs and JSON show it: `nodekey:` and 64 hex digits. */
export function nodeKeyText(publicKey: Uint8Array): string {
  return PUBLIC_PREFIX + keyToHex(publicKey);
}

/** A private key as the key file holds it: `privkey:` and 64 hex digits. Never log it. */
export function privateKeyText(privateKey: Uint8Array): string {
  return PRIVATE_PREFIX + keyToHex(privateKey);
}

/**
 * Reads `privkey:` and 64 hex digits.
 *
 * @throws {DerpError} on anything else; the text is not in the message
 */
export function parsePrivateKeyText(text: string): Uint8Array {
  if (!text.startsWith(PRIVATE_PREFIX)) {
    throw new DerpError(`Cannot read private key: it does not start with ${PRIVATE_PREFIX}`);
  }
  return keyFromHex(text.slice(PRIVATE_PREFIX.length));
}

/** The WireGuard form: 44 characters of standard base64. */
export function keyToBase64(key: Uint8Array): string {
  return check(key).toBase64();
}

/**
 * Reads the WireGuard form: exactly 44 characters of canonical base64, no white space.
 *
 * @throws {DerpError} on anything else
 */
export function keyFromBase64(text: string): Uint8Array {
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) {
    try {
      return Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
    } catch {
      // Bits set that 32 bytes do not have: two texts for one key would break comparisons.
    }
  }
  throw new DerpError("Cannot read key: it is not the base64 of 32 bytes");
}

/** A public key short enough for a log line: the first five base64 characters in brackets. */
export function shortKey(key: Uint8Array): string {
  return check(key).every((byte) => byte === 0) ? "" : `[${keyToBase64(key).slice(0, 5)}]`;
}

/** Compares two keys, in a time that does not depend on where they differ. */
export function keysEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

/**
 * The public keys that make every shared secret zero, little-endian, bit 255 clear (X25519
 * ignores it): 0, 1, two points of order 8, p - 1, p, p + 1 with p = 2^255 - 19. See RFC 7748
 * section 6.1.
 */
const LOW_ORDER = [
  "00".repeat(32),
  "01" + "00".repeat(31),
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ec" + "ff".repeat(30) + "7f",
  "ed" + "ff".repeat(30) + "7f",
  "ee" + "ff".repeat(30) + "7f",
].map((hex) => Uint8Array.fromHex(hex));

/**
 * Tells whether a public key is a point of low order: anybody knows the secret it shares with
 * any key, so it proves nothing.
 */
export function isLowOrderPoint(publicKey: Uint8Array): boolean {
  check(publicKey);
  return LOW_ORDER.some((point) => {
    let difference = (publicKey[31]! & 0x7f) ^ point[31]!;
    for (let i = 0; i < 31; i++) difference |= publicKey[i]! ^ point[i]!;
    return difference === 0;
  });
}

/**
 * Reads a derper key file: a JSON object with the member PrivateKey, `privkey:` and 64 hex digits.
 *
 * @returns the private key
 * @throws {DerpError} when it is anything else; the content is not in the message
 */
export function parseDerperKeyFile(text: string): Uint8Array {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    throw new DerpError("Cannot read key file: it is not JSON");
  }
  if (typeof file === "object" && file !== null) {
    for (const [name, value] of Object.entries(file)) {
      if (name.toLowerCase() === "privatekey" && typeof value === "string") {
        return parsePrivateKeyText(value);
      }
    }
  }
  throw new DerpError("Cannot read key file: it has no PrivateKey");
}

/** Writes a derper key file; to be stored with mode 0600. */
export function formatDerperKeyFile(privateKey: Uint8Array): string {
  return JSON.stringify({ PrivateKey: privateKeyText(privateKey) }, null, "\t");
}

function check(key: Uint8Array): Uint8Array {
  if (key.length !== KEY_LENGTH) {
    throw new DerpError(`Cannot use key: ${key.length} bytes, not ${KEY_LENGTH}`);
  }
  return key;
}
