import { type Actor, record } from "../audit/mod.ts";
import type { Principal } from "../auth/mod.ts";
import { notAllowed, notFound } from "../http/mod.ts";
import { ownersOf, recordMember, removeOrganization } from "../organizations/mod.ts";
import type { Store, UserRow, Write } from "../store/mod.ts";

/**
 * Deletes the calling user with its registration keys, its invitations and every organization that
 * nobody else owns. 400 while it has devices, or others have some in such an organization. The account
 * stays: its next call makes another user, with another id.
 */
export async function deleteUser(
  store: Store,
  principal: Principal,
  id: string,
): Promise<UserRow> {
  if (id !== principal.ownerId) throw notFound("user");
  return await store.write((write) => dropUser(write, principal, id));
}

/** Takes a user away; whoever calls has seen to it that the caller may. */
export async function dropUser(
  write: Write,
  principal: Principal,
  id: string,
): Promise<UserRow> {
  const { db } = write;
  const user = await db.selectFrom("users").selectAll().where("id", "=", id)
    .where("deleted_at", "is", null).executeTakeFirst();
  if (!user) throw notFound("user");
  const device = await db.selectFrom("devices").select("id").where("owner_id", "=", id)
    .where("deleted_at", "is", null).limit(1).executeTakeFirst();
  if (device) {
    throw notAllowed("user cannot be deleted while devices owned by the user are still attached");
  }
  const by: Principal | Actor = principal.ownerId === id
    ? { kind: "user", id, name: user.username, from: principal.from }
    : principal;
  const memberships = await db.selectFrom("memberships").selectAll()
    .where("user_id", "=", id).execute();
  for (const { organization_id, roles_json } of memberships) {
    const others = (await ownersOf(db, organization_id)).filter((owner) => owner !== id);
    if (others.length === 0) await removeOrganization(write, organization_id, by);
    else recordMember(write, by, "delete", { ...user, organization_id, roles_json });
  }
  await db.deleteFrom("memberships").where("user_id", "=", id).execute();
  await db.deleteFrom("invitations")
    .where((eb) => eb.or([eb("user_id", "=", id), eb("from_user_id", "=", id)])).execute();
  const deleted_at = new Date().toISOString();
  await db.updateTable("reg_keys").set({ deleted_at }).where("owner_id", "=", id)
    .where("deleted_at", "is", null).execute();
  record(write, by, { action: "user.delete", organizationId: id, id, name: user.username });
  write.ended(id);
  // Its name and its subject are free from now on; the row stays for what was its own.
  await db.updateTable("users")
    .set({ username: id, subject: null, email: "", deleted_at }).where("id", "=", id).execute();
  return user;
}
