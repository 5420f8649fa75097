import { z } from "@hono/zod-openapi";
import { isOperator, type Principal } from "../../auth/mod.ts";
import { answers, type App, endpoint, json } from "../../http/mod.ts";
import {
  addRelayRegion,
  BUILT_IN,
  deleteRelayRegion,
  derpMap,
  listRelayRegions,
  loadsNow,
  relayRegion,
  trendOf,
  updateRelayRegion,
} from "../../relay_regions/mod.ts";
import { type RelayRegionRow, toRelayRegion } from "../../store/mod.ts";
import type { ApiDeps } from "../context.ts";
import { errorSchema, idParams } from "../schemas.ts";
import type { RelayLoad, RelayRegion } from "../types.ts";

const port = z.number().int().min(1).max(65535);

const fields = {
  name: z.string().max(64).nullish(),
  region_id: z.number().int().min(1).max(65535).nullish(),
  hostname: z.string().max(254).nullish(),
  port: port.nullish(),
  stun_port: z.number().int().min(0).max(65535).nullish().openapi({ description: "0: none" }),
  ca: z.string().max(16_384).nullish().openapi({
    description: "PEM of the only authorities to trust there; empty for the system's",
  }),
  weight: z.number().int().min(0).max(1000).nullish().openapi({
    description: "Of relays equally near the one of the greatest weight is taken",
  }),
  drained: z.boolean().nullish().openapi({ description: "Agents leave it, and none comes" }),
};

const addSchema = z.object(fields).openapi("AddRelayRegion");
const updateSchema = z.object(fields).openapi("UpdateRelayRegion");

const regionSchema = z.object({
  id: z.string(),
  name: z.string(),
  region_id: z.number().int(),
  hostname: z.string(),
  port: z.number().int(),
  stun_port: z.number().int(),
  ca: z.string().optional(),
  weight: z.number().int(),
  drained: z.boolean(),
  revision: z.number().int(),
  built_in: z.literal(true).optional(),
  editable: z.literal(true).optional().openapi({
    description: "In lists: the caller may change relays",
  }),
  health: z.object({
    state: z.enum(["up", "down"]),
    latency_ms: z.number().optional(),
    error: z.string().optional(),
    checked_at: z.string(),
  }).optional(),
  load: z.object({ clients: z.number().int(), bytes_per_second: z.number().int().optional() })
    .optional().openapi({ description: "In lists, for who may change relays" }),
}).openapi("RelayRegion");

const loadFields = {
  clients: z.number().int().optional(),
  bytes_per_second: z.number().int().optional(),
};

const trendSchema = z.object({
  points: z.array(z.object({
    at: z.string(),
    latency_ms: z.number().optional(),
    ...loadFields,
  })),
}).openapi("RelayTrend");

const region = answers("The relay", regionSchema);
const unknown = answers("No such relay", errorSchema);
const forbidden = answers("The caller is not the operator", errorSchema);
const unusable = answers("A field is missing or unusable", errorSchema);
const twin = answers("There is one of that name, or at that place", errorSchema);

/** Public relays: everybody sees them, the operator of the control plane changes them. */
export function relayRegionRoutes(app: App, deps: ApiDeps): void {
  const { store, relayHealth } = deps;
  const mayEdit = (principal: Principal) => isOperator(store.db, principal);
  // The load is of all organizations together: for who may edit.
  const present = (row: RelayRegionRow, editable = false, load?: RelayLoad): RelayRegion => {
    const health = relayHealth?.(row.id);
    return {
      ...toRelayRegion(row),
      ...(row === BUILT_IN ? { built_in: true } : {}),
      ...(editable ? { editable } : {}),
      ...(health === undefined ? {} : { health }),
      ...(load === undefined ? {} : { load }),
    };
  };

  endpoint(app, {
    method: "get",
    path: "/api/relay-regions",
    summary: "The public relays, in the order that agents have them in",
    responses: { 200: answers("The relays", z.array(regionSchema)) },
  }, async (c) => {
    const editable = await mayEdit(c.get("principal"));
    const loads = editable ? await loadsNow(store.db) : undefined;
    const rows = await listRelayRegions(store.db);
    return json(rows.map((row) => present(row, editable, loads?.get(row.id))));
  });

  endpoint(app, {
    method: "get",
    path: "/api/relay-regions/{id}",
    summary: "A public relay",
    params: idParams,
    responses: { 200: region, 404: unknown },
  }, async (_c, { params }) => json(present(await relayRegion(store.db, params.id))));

  endpoint(app, {
    method: "get",
    path: "/api/relay-regions/{id}/trend",
    summary:
      "A public relay at the last looks of all control planes; the load for the operator only",
    params: idParams,
    responses: { 200: answers("The looks, oldest first", trendSchema), 404: unknown },
  }, async (c, { params }) => {
    const row = await relayRegion(store.db, params.id);
    const load = await mayEdit(c.get("principal"));
    return json({ points: await trendOf(store.db, row.id, load) });
  });

  endpoint(app, {
    method: "post",
    path: "/api/relay-regions",
    summary: "Adds a public relay; the built-in one goes with the first",
    body: addSchema,
    responses: { 201: region, 400: unusable, 403: forbidden, 409: twin },
  }, async (c, { body }) => {
    return json(present(await addRelayRegion(store, c.get("principal"), body)), 201);
  });

  endpoint(app, {
    method: "patch",
    path: "/api/relay-regions/{id}",
    summary: "Changes a public relay, or drains it; absent fields stay",
    params: idParams,
    body: updateSchema,
    responses: { 200: region, 400: unusable, 403: forbidden, 404: unknown, 409: twin },
  }, async (c, { params, body }) => {
    return json(present(await updateRelayRegion(store, c.get("principal"), params.id, body)));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/relay-regions/{id}",
    summary: "Deletes a public relay; agents leave it at once",
    params: idParams,
    responses: { 200: region, 403: forbidden, 404: unknown },
  }, async (c, { params }) => {
    return json(present(await deleteRelayRegion(store, c.get("principal"), params.id)));
  });

  endpoint(app, {
    method: "get",
    path: "/derpmap/default",
    summary: "The public relays as a DERP map, for other clients; no credentials",
    responses: { 200: { description: "tailcfg.DERPMap as JSON" } },
  }, async () => json(derpMap(await listRelayRegions(store.db))));
}
