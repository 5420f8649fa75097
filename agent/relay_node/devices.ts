/**
 * The VPC's devices as the relay needs them. What devices publish is hostile.
 *
 * @module
 */
import type { Device, DeviceMetadata } from "../../control/api/types.ts";
import { isLowOrderPoint, keyFromBase64, keyToHex } from "../../relay/derp/mod.ts";
import { cleanText } from "../errors.ts";

/** Reads lists of devices, and each key only once: lists differ in one device, or in none. */
export class KeyReader {
  #known = new Map<string, string | undefined>();

  /**
   * The public keys (hex, sorted, each once) of the devices. A device whose key is none is left out:
   * it cannot log in either.
   *
   * @param own the relay's own, base64
   */
  read(devices: readonly Device[], own: string): string[] {
    const known = new Map<string, string | undefined>(), keys = new Set<string>();
    for (const { public_key } of devices) {
      if (public_key === own) continue;
      const hex = this.#known.has(public_key) ? this.#known.get(public_key) : hexOf(public_key);
      known.set(public_key, hex);
      if (hex !== undefined) keys.add(hex);
    }
    this.#known = known;
    return [...keys].sort();
  }
}

function hexOf(publicKey: string): string | undefined {
  try {
    const key = keyFromBase64(publicKey);
    return isLowOrderPoint(key) ? undefined : keyToHex(key);
  } catch {
    // Stock control planes take any text.
    return undefined;
  }
}

/** Names of the other DERP relays, at most five. */
export function otherRelays(
  devices: readonly Device[],
  metadata: readonly DeviceMetadata[],
  own: string,
): string[] {
  const derp = new Set(
    metadata.filter(({ value }) => value.type === "derp").map((row) => row.device_id),
  );
  return devices
    .filter((device) => device.relay && device.public_key !== own && derp.has(device.id))
    .map((device) => cleanText(device.hostname, 60) || device.id)
    .sort()
    .slice(0, 5);
}
