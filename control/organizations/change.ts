import { type Actor, record } from "../audit/mod.ts";
import type { Principal } from "../auth/mod.ts";
import { conflict, fieldMissing, notAllowed, notFound } from "../http/mod.ts";
import type { OrganizationRow, Store, Write } from "../store/mod.ts";
import { removeVpc, vpcHasDevices } from "../vpcs/mod.ts";
import { ownedOrganization } from "./access.ts";

/**
 * Makes an organization that the caller owns. A name is taken once in the whole service: 409, with the
 * other organization's id only for its members.
 */
export async function createOrganization(
  store: Store,
  principal: Principal,
  body: { name?: string | null | undefined; description?: string | null | undefined },
): Promise<OrganizationRow> {
  const name = body.name?.trim();
  if (!name) throw fieldMissing("name");
  return await store.write(async (write) => {
    const { db } = write;
    // It may have been deleted since the request was let in.
    const user = await db.selectFrom("users").select("id").where("id", "=", principal.ownerId)
      .where("deleted_at", "is", null).executeTakeFirst();
    if (!user) throw notFound("user");
    const taken = await db.selectFrom("organizations").select("id").where("name", "=", name)
      .executeTakeFirst();
    if (taken) {
      const mine = await db.selectFrom("memberships").select("user_id")
        .where("organization_id", "=", taken.id).where("user_id", "=", principal.ownerId)
        .executeTakeFirst();
      throw conflict(mine ? taken.id : undefined);
    }
    const row: OrganizationRow = {
      id: crypto.randomUUID(),
      name,
      description: body.description ?? "",
      created_at: new Date().toISOString(),
      deleted_at: null,
    };
    await db.insertInto("organizations").values(row).execute();
    await db.insertInto("memberships").values({
      user_id: principal.ownerId,
      organization_id: row.id,
      roles_json: JSON.stringify(["owner"]),
    }).execute();
    recordOrganization(write, principal, "create", row);
    return row;
  });
}

/**
 * Deletes an organization with its VPCs, groups, keys and invitations: 400 while a device is in one of
 * them, and for the one that came with a user, which goes with its user only.
 */
export async function deleteOrganization(
  store: Store,
  principal: Principal,
  id: string,
): Promise<OrganizationRow> {
  return await store.write(async (write) => {
    const row = await ownedOrganization(write.db, principal, id);
    const user = await write.db.selectFrom("users").select("id").where("id", "=", id)
      .executeTakeFirst();
    if (user) throw notAllowed("default organization cannot be deleted");
    await removeOrganization(write, id, principal);
    return row;
  });
}

/** Takes an organization away, and everything in it; 400 while a device is in one of its VPCs. */
export async function removeOrganization(
  write: Write,
  id: string,
  by: Principal | Actor,
): Promise<void> {
  const { db } = write;
  const vpcs = await db.selectFrom("vpcs").selectAll().where("organization_id", "=", id)
    .where("deleted_at", "is", null).execute();
  for (const vpc of vpcs) {
    if (await vpcHasDevices(db, vpc.id)) {
      throw notAllowed(
        "organization cannot be deleted while devices are still attached to its vpcs",
      );
    }
    await removeVpc(write, vpc, by);
  }
  for (const table of ["invitations", "service_networks", "memberships"] as const) {
    await db.deleteFrom(table).where("organization_id", "=", id).execute();
  }
  const row = await db.selectFrom("organizations").selectAll().where("id", "=", id)
    .executeTakeFirstOrThrow();
  recordOrganization(write, by, "delete", row);
  // The name is free from now on; the row stays for the VPCs that were in it.
  await db.updateTable("organizations")
    .set({ name: id, deleted_at: new Date().toISOString() }).where("id", "=", id).execute();
}

function recordOrganization(
  write: Write,
  by: Principal | Actor,
  action: "create" | "delete",
  { id, name }: OrganizationRow,
): void {
  record(write, by, { action: `organization.${action}`, organizationId: id, id, name });
}
