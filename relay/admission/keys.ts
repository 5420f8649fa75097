/**
 * Public keys as people and machines write them.
 *
 * @module
 */
import { DerpError, isLowOrderPoint, keyFromBase64, keyFromHex, keyToHex } from "../derp/mod.ts";

const PREFIX = "nodekey:";

/**
 * Reads a public key: `nodekey:` and 64 hex digits, the digits alone, or WireGuard's base64.
 *
 * @returns 64 lower-case hex digits, or undefined when it is none or one that proves nothing
 */
export function readKey(text: string): string | undefined {
  try {
    const hex = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text;
    const key = hex.length === 64 ? keyFromHex(hex) : keyFromBase64(text);
    return isLowOrderPoint(key) ? undefined : keyToHex(key);
  } catch (error) {
    if (error instanceof DerpError) return undefined;
    throw error;
  }
}

/** The keys of `before` that `after` lacks. */
export function removedKeys(before: ReadonlySet<string>, after: ReadonlySet<string>): string[] {
  return [...before].filter((key) => !after.has(key));
}

/** A key that {@link readKey} gave, as bytes. */
export function keyBytes(hex: string): Uint8Array {
  return Uint8Array.fromHex(hex);
}
