/** Look-ups that several parts share; all of them see live rows only. */
import type { SelectQueryBuilder } from "kysely";
import type { Reader } from "./store.ts";
import type { DeviceRow, MetadataRow, SecurityGroupRow, Tables, VpcRow } from "./tables.ts";

/** A VPC of an organization that the user is a member of. */
export async function findVpc(db: Reader, id: string, userId: string): Promise<VpcRow | undefined> {
  return await db.selectFrom("vpcs")
    .innerJoin("memberships", "memberships.organization_id", "vpcs.organization_id")
    .selectAll("vpcs").where("vpcs.id", "=", id).where("memberships.user_id", "=", userId)
    .where("vpcs.deleted_at", "is", null).executeTakeFirst();
}

/** A VPC that a row refers to. */
export async function vpcById(db: Reader, id: string): Promise<VpcRow> {
  return await db.selectFrom("vpcs").selectAll().where("id", "=", id).executeTakeFirstOrThrow();
}

/** A security group of a VPC. */
export async function findSecurityGroup(
  db: Reader,
  id: string,
  vpcId: string,
): Promise<SecurityGroupRow | undefined> {
  return await db.selectFrom("security_groups").selectAll().where("id", "=", id)
    .where("vpc_id", "=", vpcId).where("deleted_at", "is", null).executeTakeFirst();
}

export async function findDevice(db: Reader, id: string): Promise<DeviceRow | undefined> {
  return await db.selectFrom("devices").selectAll().where("id", "=", id)
    .where("deleted_at", "is", null).executeTakeFirst();
}

/** Which metadata is asked for: any of the prefixes, and this key, where they are given. */
export interface MetadataFilter {
  deviceId?: string | undefined;
  vpcId?: string | undefined;
  key?: string | undefined;
  prefixes?: readonly string[] | undefined;
}

/** Metadata ordered by key. */
export async function listMetadata(db: Reader, filter: MetadataFilter): Promise<MetadataRow[]> {
  return await metadataQuery(db, filter).where("deleted_at", "is", null)
    .orderBy("key").orderBy("device_id").execute();
}

/** Metadata rows, deleted ones too, that fit a filter. */
export function metadataQuery(
  db: Reader,
  filter: MetadataFilter,
): SelectQueryBuilder<Tables, "device_metadata", MetadataRow> {
  let query = db.selectFrom("device_metadata").selectAll();
  if (filter.deviceId !== undefined) query = query.where("device_id", "=", filter.deviceId);
  if (filter.vpcId !== undefined) query = query.where("vpc_id", "=", filter.vpcId);
  if (filter.key !== undefined) query = query.where("key", "=", filter.key);
  const prefixes = filter.prefixes;
  if (prefixes && prefixes.length > 0) {
    // Compared as text: in a LIKE pattern `%` and `_` of a prefix would match anything.
    query = query.where((eb) =>
      eb.or(
        prefixes.map((prefix) =>
          eb(eb.fn("substr", ["key", eb.val(1), eb.val([...prefix].length)]), "=", prefix)
        ),
      )
    );
  }
  return query;
}

/**
 * Waits for all of several queries of a transaction, also when one fails: nothing may be written behind
 * the end of what it is a part of. PostgreSQL gets them at once, and answers them in one round trip.
 *
 * @throws what the first of them, in their order, throws
 */
export async function together<T extends readonly unknown[]>(
  ...work: { readonly [K in keyof T]: Promise<T[K]> }
): Promise<T> {
  const settled = await Promise.allSettled(work);
  return settled.map((one) => {
    if (one.status === "rejected") throw one.reason;
    return one.value;
  }) as unknown as T;
}
