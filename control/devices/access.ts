import { confinedTo, mayChange, type Principal } from "../auth/mod.ts";
import { notFound, Problem } from "../http/mod.ts";
import { type DeviceRow, findDevice, type Reader } from "../store/mod.ts";

/** A device that the caller may read, or an empty 404. */
export async function visibleDevice(
  db: Reader,
  principal: Principal,
  id: string,
): Promise<DeviceRow> {
  const device = await findDevice(db, id);
  if (!device || device.owner_id !== principal.ownerId) throw notFound();
  const confined = confinedTo(principal);
  if (confined !== undefined && confined !== device.vpc_id && !mayChange(principal, device)) {
    throw notFound();
  }
  return device;
}

/** The device, if the caller may change it: 404 when it is not of its owner, 403 when it may not. */
export async function changeable(
  db: Reader,
  principal: Principal,
  id: string,
): Promise<DeviceRow> {
  const device = await findDevice(db, id);
  if (!device || device.owner_id !== principal.ownerId) throw notFound("device");
  if (!mayChange(principal, device)) {
    throw new Problem(403, { error: "reg key does not have access" });
  }
  return device;
}
