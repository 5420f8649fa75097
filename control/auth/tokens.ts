/** Opaque bearer values: made, derived, and hashed for the database. */
import { Buffer } from "node:buffer";
import { createHash, createHmac, randomBytes } from "node:crypto";

/** Longest bearer value that is looked at, in characters. */
export const MAX_TOKEN_LENGTH = 256;

/** A new registration key: `RK:` and 32 random bytes in base64. */
export function newRegKey(): string {
  return `RK:${randomBytes(32).toString("base64")}`;
}

/**
 * The token of a registration key. It is derived from the server's secret, so that its owner can read
 * it again while the database holds only its hash.
 */
export function regKeyToken(secret: Uint8Array, keyId: string): string {
  return `RK:${createHmac("sha256", secret).update(`reg-key\n${keyId}`).digest("base64")}`;
}

/**
 * The token of a device. It is derived from the server's secret, so that it can be sealed into every
 * answer while the database holds only its hash; another `generation` is another token.
 */
export function deviceToken(secret: Uint8Array, deviceId: string, generation: number): string {
  const mac = createHmac("sha256", secret).update(`device-token\n${deviceId}\n${generation}`);
  return `DT:${mac.digest("base64")}`;
}

/** What the database keeps of a token: its SHA-256 in hex. Tokens are random, so no salt is needed. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** Proves that a secret is the one a database was made with, without telling anything about it. */
export function secretCheck(secret: Uint8Array): string {
  return createHmac("sha256", secret).update("nexd control secret").digest("hex");
}

/** A new server secret, as text for a file. */
export function newSecret(): string {
  return randomBytes(32).toString("base64");
}

/** The bytes of a secret written by {@linkcode newSecret}, or undefined if it is none. */
export function parseSecret(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text.trim(), "base64");
  return bytes.length === 32 && bytes.toString("base64") === text.trim() ? bytes : undefined;
}

/** A password for the first user: 20 characters that read and type well, 99 bits. */
export function newPassword(): string {
  const alphabet = "abcdefghjkmnpqrstuvwxyz23456789x";
  const letters = Array.from(randomBytes(20), (byte) => alphabet[byte % 32]);
  return [0, 5, 10, 15].map((at) => letters.slice(at, at + 5).join("")).join("-");
}
