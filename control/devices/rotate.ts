import { deviceToken, hashToken, type Principal } from "../auth/mod.ts";
import { Problem } from "../http/mod.ts";
import { type DeviceRow, vpcById } from "../store/mod.ts";
import type { DeviceDeps } from "./register.ts";
import { changeable } from "./access.ts";
import { recordDevice } from "./deed.ts";

/**
 * Gives a device another token; the one that it had, wherever it may be by now, ends. The device gets
 * the new one when it registers again, which it does as soon as it is refused. Only its owner may: a
 * stolen token must not be able to put the device out.
 */
export async function rotateToken(
  deps: DeviceDeps,
  principal: Principal,
  id: string,
): Promise<DeviceRow> {
  if (principal.kind !== "user") throw new Problem(403);
  return await deps.store.write(async (write) => {
    const device = await changeable(write.db, principal, id);
    const token_generation = device.token_generation + 1;
    const token_hash = hashToken(deviceToken(deps.secret, id, token_generation));
    const revision = await write.revision("devices", device.vpc_id);
    const change = { token_generation, token_hash, revision };
    await write.db.updateTable("devices").set(change).where("id", "=", id).execute();
    const vpc = await vpcById(write.db, device.vpc_id);
    recordDevice(write, principal, "rotate-token", { vpc, before: device, after: device });
    write.ended(id);
    return { ...device, ...change };
  });
}
