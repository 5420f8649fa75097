import { z } from "@hono/zod-openapi";
import { answers, type App, endpoint, json } from "../../http/mod.ts";
import { listAnswer, listOptions, listQuery } from "../../http/mod.ts";
import { keepReport, PATHS, pathsOf, presentPaths, relaysSeen } from "../../paths/mod.ts";
import type { ApiDeps } from "../context.ts";
import { errorSchema, idParams, text, uuid } from "../schemas.ts";
import type { PathReport } from "../types.ts";
import { visibleVpc } from "./vpcs.ts";

/** Most peers and relays of a report: a picture of more of them says nothing. */
const MAX_PEERS = 128, MAX_RELAYS = 16;

const latency = z.number().min(0).max(600_000).nullish().openapi({ description: "Round trip, ms" });
const port = z.number().int().min(1).max(65535);
const hostname = text(254);
const count = z.number().int().min(0).max(1_000_000);

const peerSchema = z.object({
  device_id: uuid,
  path: z.enum(["direct", "relayed", "none"]),
  healthy: z.boolean(),
  reason: text(200),
  relay: hostname.nullish(),
  latency_ms: latency,
});

const reportSchema = z.object({
  peers: z.array(peerSchema).max(MAX_PEERS),
  more: count,
  relays: z.array(z.object({
    hostname,
    port,
    home: z.boolean(),
    latency_ms: latency,
    error: text(200).nullish(),
  })).max(MAX_RELAYS),
}).openapi("PathReport");

const pathsSchema = z.object({
  device_id: z.string(),
  told_at: z.string(),
  peers: z.array(peerSchema),
  more: z.number().int(),
}).openapi("DevicePaths");

const viewSchema = z.object({
  hostname: z.string(),
  port: z.number().int(),
  devices: z.number().int(),
  home: z.number().int(),
  failing: z.number().int(),
  latency_ms: z.number().optional(),
  worst_ms: z.number().optional(),
}).openapi("RelayView");

const unseen = answers("No VPC that the caller may see", errorSchema);

/** The ways between the devices of a VPC, and to relays, as devices tell them. */
export function pathRoutes(app: App, deps: ApiDeps): void {
  endpoint(app, {
    method: "put",
    path: "/api/devices/{id}/paths",
    summary: "What a device that is online tells of its ways; forgotten when it is not any more",
    params: idParams,
    body: reportSchema,
    responses: {
      204: { description: "It is known" },
      400: answers("A field is missing or unusable", errorSchema),
      403: answers("The caller is not the device", errorSchema),
    },
  }, async (c, { params, body }) => {
    await keepReport(deps.store, c.get("principal"), params.id, body as PathReport);
    return new Response(null, { status: 204 });
  });

  endpoint(app, {
    method: "get",
    path: "/api/vpcs/{id}/paths",
    summary: "The ways of a VPC's online devices, as they tell them; many agents tell nothing",
    params: idParams,
    query: listQuery,
    responses: { 200: answers("By device", z.array(pathsSchema)), 404: unseen },
  }, async (c, { params, query }) => {
    const { db } = deps.store;
    const vpc = await visibleVpc(db, c.get("principal"), params.id);
    const present = await presentPaths(db, vpc.id);
    return await listAnswer(pathsOf(db, vpc.id), PATHS, listOptions(query, PATHS), present);
  });

  endpoint(app, {
    method: "get",
    path: "/api/vpcs/{id}/relays",
    summary: "The relays as the devices of a VPC see them",
    params: idParams,
    responses: { 200: answers("The relays", z.array(viewSchema)), 404: unseen },
  }, async (c, { params }) => {
    const vpc = await visibleVpc(deps.store.db, c.get("principal"), params.id);
    return json(await relaysSeen(deps.store.db, vpc.id));
  });
}
