import type { Actor } from "../audit/mod.ts";
import type { Principal } from "../auth/mod.ts";
import { releaseAddress, withdraw } from "../ipam/mod.ts";
import { type DeviceRow, vpcById, type Write } from "../store/mod.ts";
import type { DeviceDeps } from "./register.ts";
import { changeable } from "./access.ts";
import { recordDevice } from "./deed.ts";

/**
 * Deletes a device: its addresses, networks and metadata go with it, its token ends, and its public
 * key may register again. The row stays, without them, so that watchers hear of the delete.
 */
export async function removeDevice(
  deps: DeviceDeps,
  principal: Principal,
  id: string,
): Promise<DeviceRow> {
  return await deps.store.write(async (write) =>
    await dropDevice(write, await changeable(write.db, principal, id), principal)
  );
}

/** Takes a device away; whoever calls has seen to it that the caller may. */
export async function dropDevice(
  write: Write,
  device: DeviceRow,
  by: Principal | Actor,
): Promise<DeviceRow> {
  const { id } = device;
  const vpc = await vpcById(write.db, device.vpc_id);
  await releaseAddress(write, vpc, device.ipv4_address);
  await releaseAddress(write, vpc, device.ipv6_address);
  await withdraw(write, id);
  const now = new Date().toISOString();
  const metadata = await write.db.selectFrom("device_metadata").select("key")
    .where("device_id", "=", id).where("deleted_at", "is", null).execute();
  for (const { key } of metadata) {
    const revision = await write.revision("device_metadata", vpc.id);
    await write.db.updateTable("device_metadata").set({ deleted_at: now, revision })
      .where("device_id", "=", id).where("key", "=", key).execute();
  }
  const deleted: DeviceRow = {
    ...device,
    public_key: "",
    token_hash: "",
    online: 0,
    deleted_at: now,
    revision: await write.revision("devices", vpc.id),
  };
  await write.db.updateTable("devices").set(deleted).where("id", "=", id).execute();
  recordDevice(write, by, "delete", { vpc, before: device });
  write.ended(id);
  return deleted;
}
