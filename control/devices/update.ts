import type { UpdateDevice } from "../api/types.ts";
import { confinedTo, type Principal } from "../auth/mod.ts";
import { notFound, Problem } from "../http/mod.ts";
import { namespaceOf, releaseAddress, takeAddress } from "../ipam/mod.ts";
import {
  type DeviceRow,
  findSecurityGroup,
  findVpc,
  toDevice,
  vpcById,
  type VpcRow,
  type Write,
} from "../store/mod.ts";
import { changeable } from "./access.ts";
import { recordUpdate } from "./deed.ts";
import type { DeviceDeps } from "./register.ts";
import { refusals, setAdvertised } from "./refusals.ts";

/**
 * Changes a device; what `body` leaves out stays. A body that changes nothing takes no revision and
 * wakes nobody, so that agents may repeat themselves.
 */
export async function updateDevice(
  deps: DeviceDeps,
  principal: Principal,
  id: string,
  body: UpdateDevice,
): Promise<DeviceRow> {
  return await refusals(() =>
    deps.store.write(async (write) => {
      const before = await changeable(write.db, principal, id);
      const after = { ...before, ...fields(body) };
      const vpc = await targetVpc(write, principal, before, body);
      if (vpc) await move(write, before, after, vpc);
      if (body.security_group_id) {
        const group = await findSecurityGroup(write.db, body.security_group_id, after.vpc_id);
        if (!group) throw notFound("security_group_id");
        after.security_group_id = group.id;
      }
      const cidrs = body.advertise_cidrs;
      if (cidrs && !sameCidrs(before, cidrs)) {
        after.advertise_cidrs_json = JSON.stringify(cidrs);
      }
      if (vpc || after.advertise_cidrs_json !== before.advertise_cidrs_json) {
        const advertised = JSON.parse(after.advertise_cidrs_json ?? "[]") as string[];
        await setAdvertised(write, id, vpc ?? await vpcById(write.db, after.vpc_id), advertised);
      }
      if (JSON.stringify(after) === JSON.stringify(before)) return before;
      after.revision = await write.revision("devices", after.vpc_id);
      await write.db.updateTable("devices").set(after).where("id", "=", id).execute();
      await recordUpdate(write, principal, before, after);
      return after;
    })
  );
}

function fields(body: UpdateDevice): Partial<DeviceRow> {
  return {
    ...(body.hostname ? { hostname: body.hostname } : {}),
    ...(body.endpoints?.length ? { endpoints_json: JSON.stringify(body.endpoints) } : {}),
    ...(typeof body.relay === "boolean" ? { relay: body.relay ? 1 : 0 } : {}),
    ...(typeof body.symmetric_nat === "boolean"
      ? { symmetric_nat: body.symmetric_nat ? 1 : 0 }
      : {}),
  };
}

/** The VPC to move to, or undefined if the device stays. */
async function targetVpc(
  write: Write,
  principal: Principal,
  device: DeviceRow,
  body: UpdateDevice,
): Promise<VpcRow | undefined> {
  if (!body.vpc_id || body.vpc_id === device.vpc_id) return undefined;
  const vpc = await findVpc(write.db, body.vpc_id, principal.ownerId);
  if (!vpc) throw notFound("vpc_id");
  const confined = confinedTo(principal);
  if (confined !== undefined && confined !== vpc.id) {
    throw new Problem(400, { error: "does not match the reg key vpc_id", field: "vpc_id" });
  }
  return vpc;
}

/**
 * Moves a device to another VPC: other addresses where the VPCs do not share theirs, the new VPC's
 * default group, its metadata with it. Watchers of the old VPC get a delete.
 */
async function move(write: Write, before: DeviceRow, after: DeviceRow, to: VpcRow): Promise<void> {
  const from = await vpcById(write.db, before.vpc_id);
  after.vpc_id = to.id;
  after.security_group_id = to.id;
  if (namespaceOf(from) !== namespaceOf(to)) {
    await releaseAddress(write, from, before.ipv4_address);
    await releaseAddress(write, from, before.ipv6_address);
    const ipv4 = await takeAddress(write, to, 4);
    const ipv6 = await takeAddress(write, to, 6);
    Object.assign(after, { ipv4_address: ipv4.address, ipv6_address: ipv6.address });
    Object.assign(after, { ipv4_cidr: ipv4.cidr, ipv6_cidr: ipv6.cidr });
  }
  const revision = await write.revision("devices", from.id);
  const left = { ...toDevice(before), public_key: "", revision };
  await write.db.insertInto("device_departures")
    .values({ vpc_id: from.id, device_id: before.id, revision, device_json: JSON.stringify(left) })
    .onConflict((conflict) =>
      conflict.columns(["vpc_id", "device_id"]).doUpdateSet((eb) => ({
        revision: eb.ref("excluded.revision"),
        device_json: eb.ref("excluded.device_json"),
      }))
    ).execute();
  await write.db.deleteFrom("device_departures").where("vpc_id", "=", to.id)
    .where("device_id", "=", before.id).execute();
  const rows = await write.db.selectFrom("device_metadata").select("key")
    .where("device_id", "=", before.id).execute();
  for (const { key } of rows) {
    await write.db.updateTable("device_metadata")
      .set({ vpc_id: to.id, revision: await write.revision("device_metadata", to.id) })
      .where("device_id", "=", before.id).where("key", "=", key).execute();
  }
}

/** Compared as sets with repetition: another order is no change. */
function sameCidrs(device: DeviceRow, cidrs: readonly string[]): boolean {
  const now = JSON.parse(device.advertise_cidrs_json ?? "[]") as string[];
  return JSON.stringify(now.toSorted()) === JSON.stringify([...cidrs].sort());
}
