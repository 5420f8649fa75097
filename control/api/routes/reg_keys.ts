import { z } from "@hono/zod-openapi";
import { answers, type App, endpoint, json, Problem } from "../../http/mod.ts";
import { listAnswer, listOptions, listQuery, type ListSpec, textField } from "../../http/mod.ts";
import {
  addRegKey,
  deleteRegKey,
  presentRegKey,
  regKeysQuery,
  updateRegKey,
  visibleRegKey,
} from "../../reg_keys/mod.ts";
import { toRegKey } from "../../store/mod.ts";
import type { ApiDeps } from "../context.ts";
import { errorSchema, optionalId, pathId, text } from "../schemas.ts";

const shared = {
  description: text(255).nullish(),
  expires_at: text(128).nullish().openapi({
    description: "RFC 3339, or as Go prints a time; `0001-01-01T00:00:00Z`: never",
  }),
  security_group_id: optionalId.nullish(),
  settings: z.record(z.string(), z.unknown()).nullish(),
};

const addSchema = z.object({
  vpc_id: optionalId.nullish(),
  service_network_id: optionalId.nullish(),
  single_use: z.boolean().nullish(),
  ...shared,
}).openapi("AddRegKey");

const updateSchema = z.object(shared).openapi("UpdateRegKey");

const regKeySchema = z.object({
  id: z.string(),
  owner_id: z.string(),
  vpc_id: z.string().optional(),
  bearer_token: z.string().openapi({ description: '`""` where the caller may not have it' }),
  description: z.string().optional(),
  device_id: z.string().optional(),
  expires_at: z.string().optional(),
  security_group_id: z.string().nullable(),
  settings: z.record(z.string(), z.unknown()).nullable(),
}).openapi("RegKey");

// Errors name the parameter as stock servers do.
const keyParams = z.object({ "key-id": pathId });
const regKey = answers("The key", regKeySchema);
const unknown = answers("No such key, VPC or group for this caller", errorSchema);
const unusable = answers("A field is missing or unusable", errorSchema);

const SPEC: ListSpec = {
  fields: {
    id: textField("reg_keys.id"),
    owner_id: textField("reg_keys.owner_id"),
    vpc_id: textField("reg_keys.vpc_id"),
    description: textField("reg_keys.description"),
  },
  order: "id",
  key: ["reg_keys.id"],
};

/** Registration keys: users make them; a key may know of itself. */
export function regKeyRoutes(app: App, deps: ApiDeps): void {
  const { store, secret } = deps;

  // Before `/api/reg-keys/{key-id}`, which it would fit as well.
  endpoint(app, {
    method: "get",
    path: "/api/reg-keys/me",
    summary: "The registration key that makes the request",
    responses: { 200: regKey, 400: answers("The caller is a user", errorSchema) },
  }, (c) => {
    const principal = c.get("principal");
    if (principal.kind !== "reg-key") {
      throw new Problem(400, { error: "path parameter invalid", field: "key-id" });
    }
    return json(toRegKey(principal.regKey, principal.token));
  });

  endpoint(app, {
    method: "get",
    path: "/api/reg-keys",
    summary: "The caller's keys, and those of organizations that it owns",
    query: listQuery,
    responses: { 200: answers("The keys", z.array(regKeySchema)) },
  }, async (c, { query }) => {
    const principal = c.get("principal");
    return await listAnswer(
      regKeysQuery(store.db, principal),
      SPEC,
      listOptions(query, SPEC),
      (row) => presentRegKey(secret, principal, row),
    );
  });

  endpoint(app, {
    method: "post",
    path: "/api/reg-keys",
    summary: "Makes a registration key for a VPC",
    body: addSchema,
    responses: { 201: regKey, 400: unusable, 404: unknown },
  }, async (c, { body }) => {
    const principal = c.get("principal");
    return json(presentRegKey(secret, principal, await addRegKey(deps, principal, body)), 201);
  });

  endpoint(app, {
    method: "get",
    path: "/api/reg-keys/{key-id}",
    summary: "A registration key; its token for its owner only",
    params: keyParams,
    responses: { 200: regKey, 404: unknown },
  }, async (c, { params }) => {
    const principal = c.get("principal");
    return json(
      presentRegKey(secret, principal, await visibleRegKey(store.db, principal, params["key-id"])),
    );
  });

  endpoint(app, {
    method: "patch",
    path: "/api/reg-keys/{key-id}",
    summary: "Changes a key of the caller's own; absent fields stay",
    params: keyParams,
    body: updateSchema,
    responses: { 200: regKey, 400: unusable, 404: unknown },
  }, async (c, { params, body }) => {
    const principal = c.get("principal");
    const row = await updateRegKey(deps, principal, params["key-id"], body);
    return json(presentRegKey(secret, principal, row));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/reg-keys/{key-id}",
    summary: "Ends a key of the caller's own; devices that it made stay",
    params: keyParams,
    responses: { 200: answers("The key as it was", regKeySchema), 404: unknown },
  }, async (c, { params }) => {
    const principal = c.get("principal");
    return json(
      presentRegKey(secret, principal, await deleteRegKey(deps, principal, params["key-id"])),
    );
  });
}
