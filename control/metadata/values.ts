import type { SelectQueryBuilder } from "kysely";
import type { DeviceMetadata } from "../api/types.ts";
import { difference, record } from "../audit/mod.ts";
import { mayChange, type Principal } from "../auth/mod.ts";
import { visibleDevice } from "../devices/mod.ts";
import { fieldInvalid, type ListSpec, Problem, textField } from "../http/mod.ts";
import {
  type DeviceRow,
  listMetadata,
  type MetadataFilter,
  metadataQuery,
  type MetadataRow,
  type Reader,
  type Store,
  type Tables,
  toMetadata,
  vpcById,
  type Write,
} from "../store/mod.ts";

/** Longest value, in characters of JSON, and most keys of one device. */
const MAX_VALUE = 16 * 1024;
const MAX_KEYS = 256;

/** Lists of metadata. */
export const METADATA: ListSpec = {
  fields: {
    device_id: textField("device_metadata.device_id"),
    key: textField("device_metadata.key"),
    revision: { column: "device_metadata.revision", kind: "integer" },
  },
  order: "key",
  key: ["device_metadata.device_id", "device_metadata.key"],
};

/** The metadata that fits a filter. */
export function metadataOf(
  db: Reader,
  filter: MetadataFilter,
): SelectQueryBuilder<Tables, "device_metadata", MetadataRow> {
  return metadataQuery(db, filter).where("deleted_at", "is", null);
}

/** One key of a device, or an empty 404. */
export async function readKey(
  db: Reader,
  principal: Principal,
  deviceId: string,
  key: string,
): Promise<DeviceMetadata> {
  const device = await visibleDevice(db, principal, deviceId);
  const [row] = await listMetadata(db, { deviceId: device.id, key });
  if (!row) throw new Problem(404);
  return toMetadata(row);
}

/** Sets a key of a device to an object; 400 for one that is too long or would break stock agents. */
export async function putKey(
  store: Store,
  principal: Principal,
  deviceId: string,
  key: string,
  value: Record<string, unknown>,
): Promise<DeviceMetadata> {
  const text = JSON.stringify(value);
  if (text.length > MAX_VALUE) throw fieldInvalid("value", `longer than ${MAX_VALUE} characters`);
  if (key === "relay") checkRelay(value);
  return await store.write(async (write) => {
    const device = await writable(write, principal, deviceId);
    return await put(write, principal, device, key, text);
  });
}

/** Deletes one key of a device, which need not be there, or all of them. */
export async function deleteKeys(
  store: Store,
  principal: Principal,
  deviceId: string,
  key?: string,
): Promise<void> {
  await store.write(async (write) => {
    const device = await writable(write, principal, deviceId);
    const rows = await listMetadata(write.db, { deviceId: device.id, key });
    if (rows.length > 0) {
      await recordKeys(write, principal, "delete", device, rows.map((row) => row.key));
    }
    for (const row of rows) {
      await write.db.updateTable("device_metadata").set({
        deleted_at: new Date().toISOString(),
        revision: await write.revision("device_metadata", device.vpc_id),
      }).where("device_id", "=", device.id).where("key", "=", row.key).execute();
    }
  });
}

/**
 * Records what a person did to metadata. What agents put is their machinery, at any rate that they
 * like, and is not recorded; values are nobody's business but their readers'.
 */
async function recordKeys(
  write: Write,
  principal: Principal,
  action: "update" | "delete",
  device: DeviceRow,
  keys: readonly string[],
): Promise<void> {
  if (principal.kind !== "user") return;
  const { organization_id: organizationId } = await vpcById(write.db, device.vpc_id);
  const value = keys.join(", ");
  record(write, principal, {
    action: `device-metadata.${action}`,
    organizationId,
    id: device.id,
    name: device.hostname,
    changes: difference(
      action === "delete" ? { keys: value } : undefined,
      action === "update" ? { keys: value } : undefined,
      ["keys"],
    ),
  });
}

async function writable(write: Write, principal: Principal, id: string): Promise<DeviceRow> {
  const device = await visibleDevice(write.db, principal, id);
  if (!mayChange(principal, device)) {
    throw new Problem(403, { error: "reg key does not have access" });
  }
  return device;
}

async function put(
  write: Write,
  principal: Principal,
  device: DeviceRow,
  key: string,
  value: string,
): Promise<DeviceMetadata> {
  const { db } = write;
  const known = await listMetadata(db, { deviceId: device.id });
  const same = known.find((row) => row.key === key);
  // Agents put the same value at every start: that is no news to anybody.
  if (same?.value_json === value) return toMetadata(same);
  if (!same && known.length >= MAX_KEYS) {
    throw fieldInvalid("key", `the device has ${MAX_KEYS} keys already`);
  }
  const row = {
    device_id: device.id,
    key,
    vpc_id: device.vpc_id,
    value_json: value,
    revision: await write.revision("device_metadata", device.vpc_id),
    deleted_at: null,
  };
  await db.insertInto("device_metadata").values(row)
    .onConflict((conflict) => conflict.columns(["device_id", "key"]).doUpdateSet(row)).execute();
  await recordKeys(write, principal, "update", device, [key]);
  return toMetadata(row);
}

/** Stock agents crash on a relay's metadata with other types than these. */
function checkRelay(value: Record<string, unknown>): void {
  const types = {
    type: "string",
    hostname: "string",
    certmodemanual: "boolean",
    // Ours: where it is not on 443, and the authority that its certificate is from.
    port: "number",
    ca: "string",
  };
  for (const [field, type] of Object.entries(types)) {
    if (value[field] !== undefined && typeof value[field] !== type) {
      throw fieldInvalid(`value.${field}`, `must be a ${type}`);
    }
  }
}
