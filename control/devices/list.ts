import type { SelectQueryBuilder } from "kysely";
import { confinedTo, type Principal } from "../auth/mod.ts";
import type { DeviceRow, Reader, Tables } from "../store/mod.ts";

/** The devices of the caller's user; for a key or a device those in its VPC. */
export function ownDevices(
  db: Reader,
  principal: Principal,
): SelectQueryBuilder<Tables, "devices", DeviceRow> {
  const query = devicesOf(db).where("devices.owner_id", "=", principal.ownerId);
  const confined = confinedTo(principal);
  return confined === undefined ? query : query.where("devices.vpc_id", "=", confined);
}

/** All devices of a VPC. */
export function vpcDevices(
  db: Reader,
  vpcId: string,
): SelectQueryBuilder<Tables, "devices", DeviceRow> {
  return devicesOf(db).where("devices.vpc_id", "=", vpcId);
}

function devicesOf(db: Reader) {
  return db.selectFrom("devices").selectAll("devices").where("devices.deleted_at", "is", null);
}
