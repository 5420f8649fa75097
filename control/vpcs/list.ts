import type { SelectQueryBuilder } from "kysely";
import { confinedTo, type Principal } from "../auth/mod.ts";
import type { Reader, Tables, VpcRow } from "../store/mod.ts";

/** The VPCs that a caller sees: of its user's organizations; a key or a device sees its own one. */
export function vpcsQuery(
  db: Reader,
  principal: Principal,
): SelectQueryBuilder<Tables, "vpcs" | "memberships", VpcRow> {
  const query = db.selectFrom("vpcs")
    .innerJoin("memberships", "memberships.organization_id", "vpcs.organization_id")
    .selectAll("vpcs").where("memberships.user_id", "=", principal.ownerId)
    .where("vpcs.deleted_at", "is", null);
  const confined = confinedTo(principal);
  return confined === undefined ? query : query.where("vpcs.id", "=", confined);
}
