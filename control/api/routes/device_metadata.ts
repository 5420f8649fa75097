import { z } from "@hono/zod-openapi";
import { visibleDevice } from "../../devices/mod.ts";
import { answers, type App, endpoint, json, listAnswer, listOptions } from "../../http/mod.ts";
import { deleteKeys, METADATA, metadataOf, putKey, readKey } from "../../metadata/mod.ts";
import { toMetadata } from "../../store/mod.ts";
import type { ApiDeps } from "../context.ts";
import {
  errorSchema,
  idParams,
  MAX_KEY,
  metadataQuery,
  metadataSchema,
  pathId,
} from "../schemas.ts";

const keyParams = z.object({ id: pathId, key: z.string().min(1).max(MAX_KEY) });
const none = { description: "No such device or key" };

/** Metadata of one device: JSON objects by key. */
export function deviceMetadataRoutes(app: App, deps: ApiDeps): void {
  const { store } = deps;

  endpoint(app, {
    method: "get",
    path: "/api/devices/{id}/metadata",
    summary: "A device's metadata, ordered by key",
    params: idParams,
    query: metadataQuery,
    responses: { 200: answers("The metadata", z.array(metadataSchema)), 404: none },
  }, async (c, { params, query }) => {
    const device = await visibleDevice(store.db, c.get("principal"), params.id);
    const metadata = metadataOf(store.db, { deviceId: device.id, prefixes: query.prefix });
    return await listAnswer(metadata, METADATA, listOptions(query, METADATA), toMetadata);
  });

  endpoint(app, {
    method: "get",
    path: "/api/devices/{id}/metadata/{key}",
    summary: "One key of a device's metadata",
    params: keyParams,
    responses: { 200: answers("The key", metadataSchema), 404: none },
  }, async (c, { params }) => {
    return json(await readKey(store.db, c.get("principal"), params.id, params.key));
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
    return json(await putKey(store, c.get("principal"), params.id, params.key, body));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/devices/{id}/metadata/{key}",
    summary: "Deletes a key, if it is there",
    params: keyParams,
    responses: { 204: { description: "The key is gone" }, 404: none },
  }, async (c, { params }) => {
    await deleteKeys(store, c.get("principal"), params.id, params.key);
    return new Response(null, { status: 204 });
  });

  endpoint(app, {
    method: "delete",
    path: "/api/devices/{id}/metadata",
    summary: "Deletes all metadata of a device",
    params: idParams,
    responses: { 204: { description: "Nothing is left" }, 404: none },
  }, async (c, { params }) => {
    await deleteKeys(store, c.get("principal"), params.id);
    return new Response(null, { status: 204 });
  });
}
