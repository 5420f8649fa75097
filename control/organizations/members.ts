import type { SelectQueryBuilder } from "kysely";
import type { Member } from "../api/types.ts";
import { type Actor, record } from "../audit/mod.ts";
import type { Principal } from "../auth/mod.ts";
import { dropDevice } from "../devices/mod.ts";
import { notAllowed, notFound } from "../http/mod.ts";
import {
  type Reader,
  type Store,
  type Tables,
  toUser,
  type UserRow,
  type Write,
} from "../store/mod.ts";
import { ownersOf, owns, visibleOrganization } from "./access.ts";

/** A membership with its user. */
export interface MemberRow extends UserRow {
  organization_id: string;
  roles_json: string;
}

/** The members of an organization. */
export function membersQuery(
  db: Reader,
  organizationId: string,
): SelectQueryBuilder<Tables, "memberships" | "users", MemberRow> {
  return db.selectFrom("memberships").innerJoin("users", "users.id", "memberships.user_id")
    .selectAll("users").select(["memberships.organization_id", "memberships.roles_json"])
    .where("memberships.organization_id", "=", organizationId);
}

/** A membership as the API shows it. */
export function toMember(row: MemberRow): Member {
  return {
    user_id: row.id,
    organization_id: row.organization_id,
    user: toUser(row),
    roles: JSON.parse(row.roles_json) as string[],
  };
}

/** A member of an organization, or 404. */
export async function memberOf(
  db: Reader,
  organizationId: string,
  userId: string,
): Promise<MemberRow> {
  const row = await membersQuery(db, organizationId).where("users.id", "=", userId)
    .executeTakeFirst();
  if (!row) throw notFound("user");
  return row;
}

/**
 * Takes a member out of an organization. An owner may take out others, anybody himself where `self`
 * says so; 404 for the organization otherwise. The last owner stays, and so does the user that the
 * organization came with.
 *
 * The member's devices in the VPCs of the organization go, and so do its registration keys there:
 * nobody else could delete them, and they would be peers of everybody for ever.
 */
export async function removeMember(
  store: Store,
  principal: Principal,
  { organizationId, userId, self }: { organizationId: string; userId: string; self: boolean },
): Promise<MemberRow> {
  return await store.write(async (write) => {
    const { db } = write;
    await visibleOrganization(db, principal, organizationId);
    const isSelf = principal.ownerId === userId;
    if (!await owns(db, principal.ownerId, organizationId) && !(self && isSelf)) {
      throw notFound("organization");
    }
    const member = await memberOf(db, organizationId, userId);
    if (isSelf && !self) throw notAllowed("owners cannot remove themselves");
    if (userId === organizationId) {
      throw notAllowed("users cannot be removed from their default organization");
    }
    const owners = await ownersOf(db, organizationId);
    if (owners.length === 1 && owners[0] === userId) {
      throw notAllowed("the last owner of an organization cannot be removed");
    }
    const devices = await db.selectFrom("devices").selectAll()
      .where("owner_id", "=", userId).where("deleted_at", "is", null)
      .where("vpc_id", "in", (inner) =>
        inner.selectFrom("vpcs").select("vpcs.id")
          .where("vpcs.organization_id", "=", organizationId)).execute();
    for (const device of devices) await dropDevice(write, device, principal);
    await db.updateTable("reg_keys").set({ deleted_at: new Date().toISOString() })
      .where("owner_id", "=", userId).where("deleted_at", "is", null)
      .where("vpc_id", "in", (inner) =>
        inner.selectFrom("vpcs").select("vpcs.id")
          .where("vpcs.organization_id", "=", organizationId)).execute();
    await db.deleteFrom("memberships").where("organization_id", "=", organizationId)
      .where("user_id", "=", userId).execute();
    recordMember(write, principal, "delete", member);
    write.ended(userId);
    return member;
  });
}

/** Records that somebody is a member no more. */
export function recordMember(
  write: Write,
  by: Principal | Actor,
  action: "delete",
  member: { id: string; username: string; organization_id: string; roles_json: string },
): void {
  record(write, by, {
    action: `membership.${action}`,
    organizationId: member.organization_id,
    id: member.id,
    name: member.username,
    changes: { roles: { old: member.roles_json } },
  });
}
