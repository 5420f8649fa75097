import type { SelectQueryBuilder } from "kysely";
import type { AddRegKey, RegKey, UpdateRegKey } from "../api/types.ts";
import { difference, record } from "../audit/mod.ts";
import { hashToken, type Principal, regKeyToken } from "../auth/mod.ts";
import { fieldInvalid, fieldMissing, notAllowed, notFound, Problem } from "../http/mod.ts";
import { roleMark } from "../organizations/mod.ts";
import {
  findSecurityGroup,
  findVpc,
  type Reader,
  type RegKeyRow,
  type Store,
  type Tables,
  toRegKey,
  vpcById,
  type Write,
} from "../store/mod.ts";
import { createRegKey } from "../tenants.ts";
import { parseTime } from "./expiry.ts";

/** Longest settings, in characters of JSON, and most keys of one user. */
const MAX_SETTINGS = 16 * 1024, MAX_KEYS = 10_000;
/** What the null of other languages' UUID types looks like: the same as none. */
const NIL = "00000000-0000-0000-0000-000000000000";

/** What registration keys are made and shown with. */
export interface RegKeyDeps {
  store: Store;
  /** The server's secret, from which the tokens are derived. */
  secret: Uint8Array;
}

/** The keys that a user sees: its own, and those of VPCs in organizations that it owns. */
export function regKeysQuery(
  db: Reader,
  principal: Principal,
): SelectQueryBuilder<Tables, "reg_keys", RegKeyRow> {
  return db.selectFrom("reg_keys").selectAll("reg_keys").where("reg_keys.deleted_at", "is", null)
    .where((eb) =>
      eb.or([
        eb("reg_keys.owner_id", "=", principal.ownerId),
        eb(
          "reg_keys.vpc_id",
          "in",
          eb.selectFrom("vpcs")
            .innerJoin("memberships", "memberships.organization_id", "vpcs.organization_id")
            .select("vpcs.id").where("memberships.user_id", "=", principal.ownerId)
            .where("memberships.roles_json", "like", roleMark("owner")),
        ),
      ])
    );
}

/** A key that the user sees, or 404. */
export async function visibleRegKey(
  db: Reader,
  principal: Principal,
  id: string,
): Promise<RegKeyRow> {
  const row = await regKeysQuery(db, principal).where("reg_keys.id", "=", id).executeTakeFirst();
  if (!row) throw notFound("reg key");
  return row;
}

/**
 * A key as a user sees it. Its owner gets the token, and nobody else: an owner of the organization sees
 * that the key exists, with `""` for the token. So does everybody for a token that was not made here.
 */
export function presentRegKey(secret: Uint8Array, principal: Principal, row: RegKeyRow): RegKey {
  if (principal.kind !== "user" || principal.ownerId !== row.owner_id) return toRegKey(row, "");
  const token = regKeyToken(secret, row.id);
  return toRegKey(row, hashToken(token) === row.token_hash ? token : "");
}

/** Makes a key for a VPC that the user sees; 404 for the VPC or its group, 400 for the rest. */
export async function addRegKey(
  { store, secret }: RegKeyDeps,
  principal: Principal,
  body: AddRegKey,
): Promise<RegKeyRow> {
  const vpcId = idOf(body.vpc_id);
  if (!vpcId) {
    if (idOf(body.service_network_id)) throw notAllowed("sites support is disabled");
    throw fieldMissing("vpc_id, service_network_id");
  }
  const expiresAt = time(body.expires_at);
  const settings = settingsOf(body.settings);
  return await store.write(async (write) => {
    if (!await findVpc(write.db, vpcId, principal.ownerId)) throw notFound("vpc");
    const securityGroupId = idOf(body.security_group_id);
    await checkGroup(write.db, securityGroupId, vpcId);
    const { count } = await write.db.selectFrom("reg_keys")
      .select((eb) => eb.fn.countAll<number>().as("count"))
      .where("owner_id", "=", principal.ownerId).where("deleted_at", "is", null)
      .executeTakeFirstOrThrow();
    if (Number(count) >= MAX_KEYS) {
      throw notAllowed(`${MAX_KEYS} registration keys are the most that a user can have`);
    }
    const id = crypto.randomUUID();
    const { row } = await createRegKey(write, {
      id,
      token: regKeyToken(secret, id),
      ownerId: principal.ownerId,
      vpcId,
      description: body.description ?? "",
      singleUse: body.single_use ?? false,
      ...(expiresAt ? { expiresAt } : {}),
      ...(securityGroupId ? { securityGroupId } : {}),
      ...(settings ? { settings } : {}),
    });
    await recordKey(write, principal, "create", undefined, row);
    return row;
  });
}

/** Changes a key of the user's own; what is absent stays, Go's zero time clears the expiry. */
export async function updateRegKey(
  { store }: RegKeyDeps,
  principal: Principal,
  id: string,
  body: UpdateRegKey,
): Promise<RegKeyRow> {
  const expiresAt = body.expires_at ? time(body.expires_at) : undefined;
  const settings = settingsOf(body.settings);
  return await store.write(async (write) => {
    const { db } = write;
    const row = await ownRegKey(db, principal, id);
    const securityGroupId = idOf(body.security_group_id);
    await checkGroup(db, securityGroupId, row.vpc_id);
    const after: RegKeyRow = {
      ...row,
      description: body.description ?? row.description,
      expires_at: expiresAt === undefined ? row.expires_at : expiresAt,
      security_group_id: securityGroupId ?? row.security_group_id,
      settings_json: settings ?? row.settings_json,
    };
    await db.updateTable("reg_keys").set(after).where("id", "=", id).execute();
    await recordKey(write, principal, "update", row, after);
    return after;
  });
}

/** Ends a key of the user's own; devices that it made stay. */
export async function deleteRegKey(
  { store }: RegKeyDeps,
  principal: Principal,
  id: string,
): Promise<RegKeyRow> {
  return await store.write(async (write) => {
    const { db } = write;
    const row = await ownRegKey(db, principal, id);
    await db.updateTable("reg_keys").set({ deleted_at: new Date().toISOString() })
      .where("id", "=", id).execute();
    await recordKey(write, principal, "delete", row, undefined);
    return row;
  });
}

/** Never the token, nor what may be in the settings. */
async function recordKey(
  write: Write,
  principal: Principal,
  action: "create" | "update" | "delete",
  before: RegKeyRow | undefined,
  after: RegKeyRow | undefined,
): Promise<void> {
  const row = (after ?? before)!;
  const vpc = row.vpc_id === null ? undefined : await vpcById(write.db, row.vpc_id);
  const view = (row: RegKeyRow) => ({ ...row, single_use: row.device_id !== null });
  record(write, principal, {
    action: `reg-key.${action}`,
    organizationId: vpc?.organization_id ?? row.owner_id,
    id: row.id,
    name: row.description,
    changes: difference(before && view(before), after && view(after), FIELDS),
  });
}

const FIELDS = [
  "description",
  "vpc_id",
  "security_group_id",
  "single_use",
  "expires_at",
] as const;

async function ownRegKey(db: Reader, principal: Principal, id: string): Promise<RegKeyRow> {
  const row = await visibleRegKey(db, principal, id);
  if (row.owner_id !== principal.ownerId) throw notFound("reg key");
  return row;
}

async function checkGroup(
  db: Reader,
  id: string | undefined,
  vpcId: string | null,
): Promise<void> {
  if (id === undefined) return;
  if (vpcId === null || !await findSecurityGroup(db, id, vpcId)) {
    throw notFound("security_group_id");
  }
}

function idOf(id: string | null | undefined): string | undefined {
  return !id || id === NIL ? undefined : id;
}

function time(text: string | null | undefined): string | null {
  if (!text) return null;
  const parsed = parseTime(text);
  if (parsed === undefined) {
    const error = `request json is invalid: parsing time ${JSON.stringify(text.slice(0, 64))}`;
    throw new Problem(400, { error: `${error} as RFC 3339` });
  }
  return parsed;
}

function settingsOf(settings: Record<string, unknown> | null | undefined): string | undefined {
  if (!settings) return undefined;
  const text = JSON.stringify(settings);
  if (text.length > MAX_SETTINGS) {
    throw fieldInvalid("settings", `longer than ${MAX_SETTINGS} characters`);
  }
  return text;
}
