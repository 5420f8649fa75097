import type { SelectQueryBuilder } from "kysely";
import type { AddSecurityGroup, SecurityRule, UpdateSecurityGroup } from "../api/types.ts";
import { difference, record } from "../audit/mod.ts";
import type { Principal } from "../auth/mod.ts";
import { fieldMissing, notAllowed, notFound } from "../http/mod.ts";
import {
  findVpc,
  type Reader,
  type SecurityGroupRow,
  type Store,
  type Tables,
  toSecurityGroup,
  type VpcRow,
  type Write,
} from "../store/mod.ts";
import { checkedRules } from "./rules.ts";

/** What the null of other languages' UUID types looks like: the same as none. */
const NIL = "00000000-0000-0000-0000-000000000000";

/** Groups of all VPCs that the user may see, or of one of them. */
export function groupsQuery(
  db: Reader,
  userId: string,
  vpcId?: string,
): SelectQueryBuilder<Tables, "security_groups" | "vpcs" | "memberships", SecurityGroupRow> {
  const query = visible(db, userId);
  return vpcId === undefined ? query : query.where("security_groups.vpc_id", "=", vpcId);
}

/** A group that the user may see. */
export async function visibleGroup(
  db: Reader,
  userId: string,
  id: string,
): Promise<SecurityGroupRow | undefined> {
  return await visible(db, userId).where("security_groups.id", "=", id).executeTakeFirst();
}

/** Makes a group in a VPC whose organization the caller owns; 422 for a bad rule, 404 for the VPC. */
export async function createGroup(
  store: Store,
  principal: Principal,
  body: AddSecurityGroup,
): Promise<SecurityGroupRow> {
  const inbound = checkedRules(body.inbound_rules ?? []);
  const outbound = checkedRules(body.outbound_rules ?? []);
  const vpcId = body.vpc_id;
  if (!vpcId || vpcId === NIL) throw fieldMissing("vpc_id");
  return await store.write(async (write) => {
    const vpc = await findVpc(write.db, vpcId, principal.ownerId);
    if (!vpc || !await owns(write.db, principal.ownerId, vpc.organization_id)) {
      throw notFound("vpc");
    }
    const row: SecurityGroupRow = {
      id: crypto.randomUUID(),
      vpc_id: vpc.id,
      description: body.description ?? "",
      inbound_rules_json: stored(inbound),
      outbound_rules_json: stored(outbound),
      revision: await write.revision("security_groups", vpc.id),
      deleted_at: null,
    };
    await write.db.insertInto("security_groups").values({ ...row, made: row.revision }).execute();
    recordGroup(write, principal, "create", vpc, undefined, row);
    return row;
  });
}

/**
 * Changes a group; what `body` leaves out stays, an empty list of rules lets everything through. A
 * body that changes nothing takes no revision and wakes nobody.
 */
export async function updateGroup(
  store: Store,
  principal: Principal,
  id: string,
  body: UpdateSecurityGroup,
): Promise<SecurityGroupRow> {
  const inbound = body.inbound_rules && checkedRules(body.inbound_rules);
  const outbound = body.outbound_rules && checkedRules(body.outbound_rules);
  return await store.write(async (write) => {
    const { group: before, vpc } = await writableGroup(write, principal, id);
    const after: SecurityGroupRow = {
      ...before,
      ...(body.description ? { description: body.description } : {}),
      ...(inbound ? { inbound_rules_json: stored(inbound) } : {}),
      ...(outbound ? { outbound_rules_json: stored(outbound) } : {}),
    };
    if (JSON.stringify(after) === JSON.stringify(before)) return before;
    after.revision = await write.revision("security_groups", after.vpc_id);
    await write.db.updateTable("security_groups").set(after).where("id", "=", id).execute();
    recordGroup(write, principal, "update", vpc, before, after);
    return after;
  });
}

/**
 * Deletes a group and returns it as it was. Refused for a VPC's own group, and while a device or a
 * registration key has it: their hosts would be without rules from one moment to the next.
 */
export async function deleteGroup(
  store: Store,
  principal: Principal,
  id: string,
): Promise<SecurityGroupRow> {
  return await store.write(async (write) => {
    const { group, vpc } = await writableGroup(write, principal, id);
    if (group.id === group.vpc_id) throw notAllowed("default security group cannot be deleted");
    for (const [table, users] of USERS) {
      const used = await write.db.selectFrom(table).select("id")
        .where("security_group_id", "=", id).where("deleted_at", "is", null)
        .limit(1).executeTakeFirst();
      if (used) {
        throw notAllowed(`security group cannot be deleted while ${users} are still using it`);
      }
    }
    await write.db.updateTable("security_groups").set({
      deleted_at: new Date().toISOString(),
      revision: await write.revision("security_groups", group.vpc_id),
    }).where("id", "=", id).execute();
    recordGroup(write, principal, "delete", vpc, group, undefined);
    return group;
  });
}

const USERS = [["devices", "devices"], ["reg_keys", "registration keys"]] as const;

/** A group that the caller may change, or 404. */
async function writableGroup(
  write: Write,
  principal: Principal,
  id: string,
): Promise<{ group: SecurityGroupRow; vpc: VpcRow }> {
  const group = await visibleGroup(write.db, principal.ownerId, id);
  const vpc = group && await findVpc(write.db, group.vpc_id, principal.ownerId);
  if (!vpc || !await owns(write.db, principal.ownerId, vpc.organization_id)) {
    throw notFound("security_group");
  }
  return { group, vpc };
}

function recordGroup(
  write: Write,
  principal: Principal,
  action: "create" | "update" | "delete",
  { organization_id: organizationId }: VpcRow,
  before: SecurityGroupRow | undefined,
  after: SecurityGroupRow | undefined,
): void {
  const { id, description: name } = (after ?? before)!;
  record(write, principal, {
    action: `security-group.${action}`,
    organizationId,
    id,
    name,
    changes: difference(
      before && toSecurityGroup(before),
      after && toSecurityGroup(after),
      ["description", "vpc_id", "inbound_rules", "outbound_rules"],
    ),
  });
}

function visible(db: Reader, userId: string) {
  return db.selectFrom("security_groups")
    .innerJoin("vpcs", "vpcs.id", "security_groups.vpc_id")
    .innerJoin("memberships", "memberships.organization_id", "vpcs.organization_id")
    .selectAll("security_groups").where("memberships.user_id", "=", userId)
    .where("vpcs.deleted_at", "is", null).where("security_groups.deleted_at", "is", null);
}

async function owns(db: Reader, userId: string, organizationId: string): Promise<boolean> {
  const row = await db.selectFrom("memberships").select("roles_json")
    .where("user_id", "=", userId).where("organization_id", "=", organizationId)
    .executeTakeFirst();
  return row !== undefined && (JSON.parse(row.roles_json) as string[]).includes("owner");
}

function stored(rules: readonly SecurityRule[]): string | null {
  return rules.length === 0 ? null : JSON.stringify(rules);
}
