/**
 * The sealed form in which a device gets its token: `v1`, X25519 + HKDF-SHA-256 + AES-256-GCM.
 *
 * Stock agents expect this form exactly, and it keeps nothing secret: the scalar is the ephemeral
 * *public* key, so everything that decryption needs is in the text and in the device's public key.
 * Whoever may read a sealed token has the token; the callers of this file decide who that is.
 */
import { Buffer } from "node:buffer";
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  randomBytes,
} from "node:crypto";

/** DER that precedes the 32 bytes of an X25519 key. */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI_PREFIX = Buffer.from("302a300506032b656e032100", "hex");

const NONCE = Buffer.alloc(12);

/**
 * The points of low order of Curve25519 and of its twist, with the two that are written larger than
 * the field, the top bit clear (RFC 7748, section 6.1, has every result of theirs as zero).
 */
const LOW_ORDER: ReadonlySet<string> = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

/**
 * Seals `token` to a WireGuard public key (standard base64): three fields of padded base64url joined
 * by `:`. Throws if the key is not a usable X25519 key.
 *
 * @param ephemeral 32 bytes to use in place of fresh ones, for test vectors
 */
export function sealToken(token: string, publicKey: string, ephemeral?: Uint8Array): string {
  const device = Buffer.from(publicKey, "base64");
  const e = ephemeral ? Buffer.from(ephemeral) : freshKey();
  const cipher = createCipheriv("aes-256-gcm", sealKey(e, device), NONCE);
  const data = Buffer.concat([cipher.update(token, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return [Buffer.from("v1"), e, data].map(base64url).join(":");
}

/** Opens what {@linkcode sealToken} made, given the device's public key; throws if it cannot. */
export function openToken(sealed: string, publicKey: string): string {
  const [kind, e, data] = sealed.split(":").map((field) => Buffer.from(field, "base64url"));
  if (kind?.toString() !== "v1" || e?.length !== 32 || !data || data.length < 16) {
    throw new Error("not a sealed token");
  }
  const key = sealKey(e, Buffer.from(publicKey, "base64"));
  const decipher = createDecipheriv("aes-256-gcm", key, NONCE);
  decipher.setAuthTag(data.subarray(-16));
  return Buffer.concat([decipher.update(data.subarray(0, -16)), decipher.final()]).toString();
}

/**
 * Whether text is a WireGuard public key that a peer can use: canonical base64 of 32 bytes that is
 * not a low-order point (with those every Diffie-Hellman result is zero).
 */
export function isPublicKey(text: string): boolean {
  const key = Buffer.from(text, "base64");
  if (key.length !== 32 || key.toString("base64") !== text) return false;
  key[31]! &= 0x7f; // X25519 does not read the top bit (RFC 7748, section 5).
  return !LOW_ORDER.has(key.toString("hex"));
}

function sealKey(e: Buffer, device: Buffer): Buffer {
  const salt = Buffer.concat([e, device]);
  return Buffer.from(hkdfSync("sha256", shared(e, device), salt, "X25519", 32));
}

/** X25519 with `scalar` clamped; throws when the result is zero. */
function shared(scalar: Buffer, point: Buffer): Buffer {
  if (scalar.length !== 32 || point.length !== 32) throw new Error("not an X25519 key");
  return diffieHellman({
    privateKey: createPrivateKey({
      key: Buffer.concat([PKCS8_PREFIX, scalar]),
      format: "der",
      type: "pkcs8",
    }),
    publicKey: createPublicKey({
      key: Buffer.concat([SPKI_PREFIX, point]),
      format: "der",
      type: "spki",
    }),
  });
}

/**
 * What stands for an ephemeral public key. Its private key would be thrown away unused, and the form
 * takes any 32 bytes; random ones cost a fifth of a pair of keys.
 */
function freshKey(): Buffer {
  return randomBytes(32);
}

function base64url(bytes: Buffer): string {
  return bytes.toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}
