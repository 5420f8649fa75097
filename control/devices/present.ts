import type { Device } from "../api/types.ts";
import { deviceToken, mayHaveToken, type Principal, sealToken } from "../auth/mod.ts";
import { type DeviceRow, toDevice } from "../store/mod.ts";

/**
 * A device as one caller sees it: with its sealed token only for the device itself and for the
 * registration key that made it. Sealing hides nothing, so nobody else gets it.
 */
export function presentDevice(secret: Uint8Array, principal: Principal, row: DeviceRow): Device {
  return withToken(secret, mayHaveToken(principal, row), row);
}

/**
 * A device as who has just registered or changed it sees it: its owner, too, gets the token then, as a
 * host that signs in as a user has nobody else to ask.
 */
export function presentOwn(secret: Uint8Array, principal: Principal, row: DeviceRow): Device {
  const owner = principal.kind === "user" && principal.ownerId === row.owner_id;
  return withToken(secret, owner || mayHaveToken(principal, row), row);
}

function withToken(secret: Uint8Array, may: boolean, row: DeviceRow): Device {
  const device = toDevice(row);
  if (!may) return device;
  const token = deviceToken(secret, row.id, row.token_generation);
  return { ...device, bearer_token: sealToken(token, row.public_key) };
}

/**
 * A device in a list. Here a registration key gets no tokens: one made for many hosts would carry them
 * all away in one request, and nobody onboards by a list.
 */
export function presentListed(secret: Uint8Array, principal: Principal, row: DeviceRow): Device {
  return principal.kind === "device" ? presentDevice(secret, principal, row) : toDevice(row);
}
