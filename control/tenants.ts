/** Users with what belongs to them, as the control plane makes them. */
import { hashToken, newRegKey } from "./auth/mod.ts";
import { createPools, DEFAULT_IPV4_CIDR, DEFAULT_IPV6_CIDR } from "./ipam/mod.ts";
import type { RegKeyRow, VpcRow, Write } from "./store/mod.ts";

/**
 * Makes a user with an organization, a VPC and that VPC's security group. All four have one id:
 * agents take the user's id for the VPC's, and other clients for the organization's.
 */
export async function createUser(
  write: Write,
  user: {
    username: string;
    fullName?: string;
    picture?: string;
    /** That its issuer vouches for. */
    email?: string;
    id?: string;
    /** The `sub` of the tokens that speak for the user. */
    subject?: string;
  },
): Promise<string> {
  const id = user.id ?? crypto.randomUUID();
  const created_at = new Date().toISOString();
  await write.db.insertInto("users").values({
    id,
    username: await freeName(write, "users", user.username, id),
    full_name: user.fullName ?? "",
    picture: user.picture ?? "",
    created_at,
    subject: user.subject ?? null,
    email: user.email?.toLowerCase() ?? "",
    deleted_at: null,
  }).execute();
  await write.db.insertInto("organizations").values({
    id,
    name: await freeName(write, "organizations", user.username, id),
    description: `${user.username}'s organization`,
    created_at,
    deleted_at: null,
  }).execute();
  await write.db.insertInto("memberships")
    .values({ user_id: id, organization_id: id, roles_json: JSON.stringify(["owner"]) }).execute();
  await createVpc(write, { id, organizationId: id, description: "default vpc" });
  return id;
}

/** A name that nobody else has: another issuer's user, or an organization, may have it already. */
async function freeName(
  write: Write,
  table: "users" | "organizations",
  wanted: string,
  id: string,
): Promise<string> {
  const taken = table === "users"
    ? write.db.selectFrom("users").select("id").where("username", "=", wanted)
    : write.db.selectFrom("organizations").select("id").where("name", "=", wanted);
  return await taken.executeTakeFirst() ? `${wanted} ${id}` : wanted;
}

/** Makes a VPC, by default with the ranges that all VPCs share, and its security group. */
export async function createVpc(
  write: Write,
  vpc: {
    organizationId: string;
    description: string;
    id?: string;
    /** Both ranges, for a VPC with addresses of its own. */
    privateCidr?: { ipv4: string; ipv6: string };
  },
): Promise<VpcRow> {
  const id = vpc.id ?? crypto.randomUUID();
  const row: VpcRow = {
    id,
    organization_id: vpc.organizationId,
    description: vpc.description,
    private_cidr: vpc.privateCidr ? 1 : 0,
    ipv4_cidr: vpc.privateCidr?.ipv4 ?? DEFAULT_IPV4_CIDR,
    ipv6_cidr: vpc.privateCidr?.ipv6 ?? DEFAULT_IPV6_CIDR,
    revision: await write.revision("vpcs", id),
    deleted_at: null,
  };
  await write.db.insertInto("vpcs").values(row).execute();
  await createPools(write, row);
  const revision = await write.revision("security_groups", id);
  await write.db.insertInto("security_groups").values({
    id,
    vpc_id: id,
    description: `${vpc.description} security group`,
    inbound_rules_json: null,
    outbound_rules_json: null,
    revision,
    made: revision,
    deleted_at: null,
  }).execute();
  return row;
}

/** Makes a registration key; `token` by default is one that nobody can read again later. */
export async function createRegKey(
  write: Write,
  key: {
    ownerId: string;
    vpcId: string;
    description: string;
    id?: string;
    token?: string;
    singleUse?: boolean;
    expiresAt?: string;
    securityGroupId?: string;
    /** JSON text of an object. */
    settings?: string;
  },
): Promise<{ row: RegKeyRow; token: string }> {
  const token = key.token ?? newRegKey();
  const row: RegKeyRow = {
    id: key.id ?? crypto.randomUUID(),
    owner_id: key.ownerId,
    vpc_id: key.vpcId,
    token_hash: hashToken(token),
    description: key.description,
    device_id: key.singleUse ? crypto.randomUUID() : null,
    used_at: null,
    expires_at: key.expiresAt ?? null,
    security_group_id: key.securityGroupId ?? null,
    settings_json: key.settings ?? null,
    created_at: new Date().toISOString(),
    deleted_at: null,
  };
  await write.db.insertInto("reg_keys").values(row).execute();
  return { row, token };
}
