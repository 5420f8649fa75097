/**
 * Opens the sealed `bearer_token` of a device.
 *
 * Form: `base64url("v1"):base64url(E):base64url(ciphertext||tag)`. The key comes from X25519 with
 * the *public* key E as the scalar and the device's public key P as the point, then
 * HKDF-SHA-256(salt E||P, info "X25519"); AES-256-GCM with a zero nonce. Every input is public, so
 * the seal hides nothing: whoever reads a device record with the field has the token. It is treated
 * as a secret all the same.
 *
 * @module
 */
import { gcm } from "@noble/ciphers/aes.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { AgentError } from "../errors.ts";

const utf8 = new TextEncoder();

function field(text: string): Uint8Array {
  return Uint8Array.fromBase64(text, { alphabet: "base64url", lastChunkHandling: "strict" });
}

/**
 * The token inside a sealed string, for the device with this public key (32 bytes).
 *
 * @throws {AgentError} when the string has another form or does not open
 */
export function openSealedToken(sealed: string, publicKey: Uint8Array): string {
  try {
    const parts = sealed.split(":");
    if (parts.length !== 3) throw new Error("it does not have three fields");
    const [kind, ephemeral, data] = parts.map(field);
    if (new TextDecoder().decode(kind) !== "v1") throw new Error("its kind is not v1");
    if (ephemeral!.length !== 32) throw new Error("its key does not have 32 bytes");
    const secret = x25519.getSharedSecret(ephemeral!, publicKey);
    const salt = new Uint8Array(64);
    salt.set(ephemeral!);
    salt.set(publicKey, 32);
    const key = hkdf(sha256, secret, salt, utf8.encode("X25519"), 32);
    const token = new TextDecoder("utf-8", { fatal: true }).decode(
      gcm(key, new Uint8Array(12)).decrypt(data!),
    );
    if (!/^[\x21-\x7e]{4,512}$/.test(token)) throw new Error("what it holds is no token");
    return token;
  } catch (error) {
    throw new AgentError(
      `Cannot open the device token that the control plane sent: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
