import type { AddVpc } from "../api/types.ts";
import { type Actor, difference, record } from "../audit/mod.ts";
import type { Principal } from "../auth/mod.ts";
import { fieldMissing, notAllowed, notFound } from "../http/mod.ts";
import { dropPools } from "../ipam/mod.ts";
import { findVpc, type Reader, type Store, type VpcRow, type Write } from "../store/mod.ts";
import { createVpc } from "../tenants.ts";
import { wantedRanges } from "./ranges.ts";

/** Makes a VPC in an organization that the caller is a member of, else 404. */
export async function addVpc(store: Store, principal: Principal, body: AddVpc): Promise<VpcRow> {
  const organizationId = body.organization_id;
  if (!organizationId) throw fieldMissing("organization_id");
  const privateCidr = wantedRanges(body);
  return await store.write(async (write) => {
    if (!await roles(write.db, principal.ownerId, organizationId)) throw notFound("organization");
    const vpc = await createVpc(write, {
      organizationId,
      description: body.description ?? "",
      ...(privateCidr ? { privateCidr } : {}),
    });
    recordVpc(write, principal, "create", undefined, vpc);
    return vpc;
  });
}

/** Changes the description of a VPC, nothing else of it can change; an absent one stays. */
export async function updateVpc(
  store: Store,
  principal: Principal,
  id: string,
  body: { description?: string | null | undefined },
): Promise<VpcRow> {
  return await store.write(async (write) => {
    const vpc = await ownedVpc(write.db, principal, id);
    const description = body.description ?? vpc.description;
    if (description === vpc.description) return vpc;
    const change = { description, revision: await write.revision("vpcs", id) };
    await write.db.updateTable("vpcs").set(change).where("id", "=", id).execute();
    const after = { ...vpc, ...change };
    recordVpc(write, principal, "update", vpc, after);
    return after;
  });
}

/** Deletes a VPC with its groups and registration keys: 400 for a default VPC, and with devices in it. */
export async function deleteVpc(store: Store, principal: Principal, id: string): Promise<VpcRow> {
  return await store.write(async (write) => {
    const vpc = await ownedVpc(write.db, principal, id);
    if (vpc.id === vpc.organization_id) throw notAllowed("default vpc cannot be deleted");
    if (await vpcHasDevices(write.db, id)) {
      throw notAllowed("vpc cannot be deleted while devices are still attached");
    }
    return await removeVpc(write, vpc, principal);
  });
}

/** Whether a device is in a VPC. */
export async function vpcHasDevices(db: Reader, id: string): Promise<boolean> {
  const device = await db.selectFrom("devices").select("id").where("vpc_id", "=", id)
    .where("deleted_at", "is", null).limit(1).executeTakeFirst();
  return device !== undefined;
}

/**
 * Takes a VPC without devices away: its groups, its registration keys and its own ranges go with it.
 * Rows stay for a while, so that watchers hear of it.
 */
export async function removeVpc(
  write: Write,
  vpc: VpcRow,
  by: Principal | Actor,
): Promise<VpcRow> {
  const { db } = write;
  const deleted_at = new Date().toISOString();
  const groups = await db.selectFrom("security_groups").select("id").where("vpc_id", "=", vpc.id)
    .where("deleted_at", "is", null).execute();
  for (const { id } of groups) {
    const revision = await write.revision("security_groups", vpc.id);
    await db.updateTable("security_groups").set({ deleted_at, revision }).where("id", "=", id)
      .execute();
  }
  await db.updateTable("reg_keys").set({ deleted_at }).where("vpc_id", "=", vpc.id)
    .where("deleted_at", "is", null).execute();
  await dropPools(write, vpc);
  const deleted = { ...vpc, deleted_at, revision: await write.revision("vpcs", vpc.id) };
  await db.updateTable("vpcs").set(deleted).where("id", "=", vpc.id).execute();
  recordVpc(write, by, "delete", vpc, undefined);
  return deleted;
}

function recordVpc(
  write: Write,
  by: Principal | Actor,
  action: "create" | "update" | "delete",
  before: VpcRow | undefined,
  after: VpcRow | undefined,
): void {
  const { id, description: name, organization_id: organizationId } = (after ?? before)!;
  const changes = difference(before, after, ["description", "ipv4_cidr", "ipv6_cidr"]);
  record(write, by, { action: `vpc.${action}`, organizationId, id, name, changes });
}

async function ownedVpc(db: Reader, principal: Principal, id: string): Promise<VpcRow> {
  const vpc = await findVpc(db, id, principal.ownerId);
  if (!vpc) throw notFound("vpc");
  const mine = await roles(db, principal.ownerId, vpc.organization_id);
  if (!mine?.includes("owner")) throw notFound("vpc");
  return vpc;
}

/** What a user is in an organization; undefined: no member. */
async function roles(
  db: Reader,
  userId: string,
  organizationId: string,
): Promise<string[] | undefined> {
  const row = await db.selectFrom("memberships").select("roles_json")
    .where("user_id", "=", userId).where("organization_id", "=", organizationId)
    .executeTakeFirst();
  return row && JSON.parse(row.roles_json) as string[];
}
