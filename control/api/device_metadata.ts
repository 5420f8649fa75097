import { z } from "@hono/zod-openapi";
import { mayChange, type Principal } from "../auth/mod.ts";
import { answers, type App, endpoint, fieldInvalid, json, Problem } from "../http/mod.ts";
import { type DeviceRow, listMetadata, toMetadata, type Write } from "../store/mod.ts";
import type { ApiDeps } from "./context.ts";
import { visibleDevice } from "./devices.ts";
import {
  errorSchema,
  idParams,
  MAX_KEY,
  metadataQuery,
  metadataSchema,
  pathId,
} from "./schemas.ts";

/** Longest value, in characters of JSON, and most keys of one device. */
const MAX_VALUE = 16 * 1024;
const MAX_KEYS = 256;

const keyParams = z.object({ id: pathId, key: z.string().min(1).max(MAX_KEY) });
const none = { description: "No such device or key" };

/** Metadata of one device: JSON objects by key. */
export function deviceMetadataRoutes(app: App, deps: ApiDeps): void {
  const { db } = deps.store;

  endpoint(app, {
    method: "get",
    path: "/api/devices/{id}/metadata",
    summary: "A device's metadata, ordered by key",
    params: idParams,
    query: metadataQuery,
    responses: { 200: answers("The metadata", z.array(metadataSchema)), 404: none },
  }, async (c, { params, query }) => {
    const device = await visibleDevice(db, c.get("principal"), params.id);
    const filter = { deviceId: device.id, prefixes: query.prefix };
    return json((await listMetadata(db, filter)).map(toMetadata));
  });

  endpoint(app, {
    method: "get",
    path: "/api/devices/{id}/metadata/{key}",
    summary: "One key of a device's metadata",
    params: keyParams,
    responses: { 200: answers("The key", metadataSchema), 404: none },
  }, async (c, { params }) => {
    const device = await visibleDevice(db, c.get("principal"), params.id);
    const [row] = await listMetadata(db, { deviceId: device.id, key: params.key });
    if (!row) throw new Problem(404);
    return json(toMetadata(row));
  });

  endpoint(app, {
    method: "put",
    path: "/api/devices/{id}/metadata/{key}",
    summary: "Sets a key; the body is its value",
    params: keyParams,
    // Agents decode a value into an object, and a watch that meets anything else breaks off.
    body: z.record(z.string(), z.unknown()),
    responses: {
      200: answers("The key", metadataSchema),
      400: answers("The value is no object, or unusable", errorSchema),
      404: none,
    },
  }, async (c, { params, body }) => {
    const text = JSON.stringify(body);
    if (text.length > MAX_VALUE) {
      throw fieldInvalid("value", `longer than ${MAX_VALUE} characters`);
    }
    if (params.key === "relay") checkRelay(body);
    return json(
      await deps.store.write(async (write) => {
        const device = await writable(write, c.get("principal"), params.id);
        return await put(write, device, params.key, text);
      }),
    );
  });

  endpoint(app, {
    method: "delete",
    path: "/api/devices/{id}/metadata/{key}",
    summary: "Deletes a key, if it is there",
    params: keyParams,
    responses: { 204: { description: "The key is gone" }, 404: none },
  }, async (c, { params }) => {
    await deps.store.write(async (write) => {
      const device = await writable(write, c.get("principal"), params.id);
      await remove(write, device, params.key);
    });
    return new Response(null, { status: 204 });
  });

  endpoint(app, {
    method: "delete",
    path: "/api/devices/{id}/metadata",
    summary: "Deletes all metadata of a device",
    params: idParams,
    responses: { 204: { description: "Nothing is left" }, 404: none },
  }, async (c, { params }) => {
    await deps.store.write(async (write) => {
      const device = await writable(write, c.get("principal"), params.id);
      for (const row of await listMetadata(write.db, { deviceId: device.id })) {
        await remove(write, device, row.key);
      }
    });
    return new Response(null, { status: 204 });
  });
}

async function writable(write: Write, principal: Principal, id: string): Promise<DeviceRow> {
  const device = await visibleDevice(write.db, principal, id);
  if (!mayChange(principal, device)) {
    throw new Problem(403, { error: "reg key does not have access" });
  }
  return device;
}

async function put(write: Write, device: DeviceRow, key: string, value: string) {
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
  return toMetadata(row);
}

async function remove(write: Write, device: DeviceRow, key: string): Promise<void> {
  const [row] = await listMetadata(write.db, { deviceId: device.id, key });
  if (!row) return;
  await write.db.updateTable("device_metadata").set({
    deleted_at: new Date().toISOString(),
    revision: await write.revision("device_metadata", device.vpc_id),
  }).where("device_id", "=", device.id).where("key", "=", key).execute();
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
