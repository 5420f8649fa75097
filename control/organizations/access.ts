/** Who sees an organization, and who may change it. */
import type { SelectQueryBuilder } from "kysely";
import { confinedTo, type Principal } from "../auth/mod.ts";
import { notFound } from "../http/mod.ts";
import type { OrganizationRow, Reader, Tables } from "../store/mod.ts";

/** What a member is in an organization. */
export const ROLES = ["owner", "member"] as const;
export type Role = typeof ROLES[number];

/** The text in `roles_json` that tells a role: roles are short words without anything to escape. */
export function roleMark(role: Role): string {
  return `%"${role}"%`;
}

/**
 * The organizations that a caller sees: those it is a member of. A registration key or a device sees
 * the one that its VPC is of.
 */
export function organizationsQuery(
  db: Reader,
  principal: Principal,
): SelectQueryBuilder<Tables, "organizations" | "memberships", OrganizationRow> {
  const query = db.selectFrom("organizations")
    .innerJoin("memberships", "memberships.organization_id", "organizations.id")
    .selectAll("organizations").where("memberships.user_id", "=", principal.ownerId);
  const confined = confinedTo(principal);
  if (confined === undefined) return query;
  return query.where(
    "organizations.id",
    "in",
    (inner) =>
      inner.selectFrom("vpcs").select("vpcs.organization_id").where("vpcs.id", "=", confined),
  );
}

/** An organization that the caller sees, or 404. */
export async function visibleOrganization(
  db: Reader,
  principal: Principal,
  id: string,
): Promise<OrganizationRow> {
  const row = await organizationsQuery(db, principal).where("organizations.id", "=", id)
    .executeTakeFirst();
  if (!row) throw notFound("organization");
  return row;
}

/** An organization that the caller's user owns, or 404. */
export async function ownedOrganization(
  db: Reader,
  principal: Principal,
  id: string,
): Promise<OrganizationRow> {
  const row = await visibleOrganization(db, principal, id);
  if (!await owns(db, principal.ownerId, id)) throw notFound("organization");
  return row;
}

/** Whether a user is an owner of an organization. */
export async function owns(db: Reader, userId: string, organizationId: string): Promise<boolean> {
  return (await ownersOf(db, organizationId)).includes(userId);
}

/** The organizations that a user owns. */
export async function ownedBy(db: Reader, userId: string): Promise<string[]> {
  const rows = await db.selectFrom("memberships").select("organization_id")
    .where("user_id", "=", userId).where("roles_json", "like", roleMark("owner")).execute();
  return rows.map(({ organization_id }) => organization_id);
}

/** The users that own an organization. */
export async function ownersOf(db: Reader, organizationId: string): Promise<string[]> {
  const rows = await db.selectFrom("memberships").select("user_id")
    .where("organization_id", "=", organizationId)
    .where("roles_json", "like", roleMark("owner")).execute();
  return rows.map(({ user_id }) => user_id);
}
