/**
 * The VPC's devices as the relay needs them. What devices publish is hostile.
 *
 * @module
 */
import type { Device, DeviceMetadata } from "../../control/api/types.ts";
import { isLowOrderPoint, keyFromBase64, keyToHex } from "../../relay/derp/mod.ts";
import { cleanText } from "../errors.ts";

/**
 * The public keys (hex, sorted, each once) of the devices. A device whose key is none is left out:
 * it cannot log in either.
 *
 * @param own the relay's own, base64
 */
export function keysOf(devices: readonly Device[], own: string): string[] {
  const keys = new Set<string>();
  for (const { public_key } of devices) {
    if (public_key === own) continue;
    try {
      const key = keyFromBase64(public_key);
      if (!isLowOrderPoint(key)) keys.add(keyToHex(key));
    } catch {
      // Stock control planes take any text.
    }
  }
  return [...keys].sort();
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
