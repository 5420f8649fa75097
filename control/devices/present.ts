import type { Device } from "../api/types.ts";
import { deviceToken, mayHaveToken, type Principal, sealToken } from "../auth/mod.ts";
import { type DeviceRow, toDevice } from "../store/mod.ts";

/**
 * A device as one caller sees it: with its sealed token only for the device itself and for the
 * registration key that made it. Sealing hides nothing, so nobody else gets it.
 */
export function presentDevice(secret: Uint8Array, principal: Principal, row: DeviceRow): Device {
  const device = toDevice(row);
  if (!mayHaveToken(principal, row)) return device;
  const token = deviceToken(secret, row.id, row.token_generation);
  return { ...device, bearer_token: sealToken(token, row.public_key) };
}

/**
 * Devices of a list. Here a registration key gets no tokens: one made for many hosts would carry
 * them all away in one request, and nobody onboards by a list.
 */
export function presentDevices(
  secret: Uint8Array,
  principal: Principal,
  rows: readonly DeviceRow[],
): Device[] {
  return rows.map((row) =>
    principal.kind === "device" ? presentDevice(secret, principal, row) : toDevice(row)
  );
}
