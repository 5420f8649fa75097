import { z } from "@hono/zod-openapi";
import { confinedTo, type Principal } from "../auth/mod.ts";
import { presentDevices } from "../devices/mod.ts";
import { answers, type App, endpoint, json, notFound } from "../http/mod.ts";
import {
  findVpc,
  listDevices,
  listMetadata,
  listVpcs,
  type Reader,
  toMetadata,
  toVpc,
  type VpcRow,
} from "../store/mod.ts";
import type { ApiDeps } from "./context.ts";
import { deviceSchema, errorSchema, idParams, metadataQuery, metadataSchema } from "./schemas.ts";

const vpcSchema = z.object({
  id: z.string(),
  organization_id: z.string(),
  description: z.string(),
  private_cidr: z.boolean(),
  ipv4_cidr: z.string(),
  ipv6_cidr: z.string(),
  revision: z.number().int(),
}).openapi("Vpc");

const notFoundAnswer = answers("No VPC that the caller may see", errorSchema);

/** VPCs, and what all their devices show. */
export function vpcRoutes(app: App, deps: ApiDeps): void {
  endpoint(app, {
    method: "get",
    path: "/api/vpcs",
    summary: "The VPCs that the caller may see, ordered by description",
    responses: { 200: answers("The VPCs", z.array(vpcSchema)) },
  }, async (c) => {
    const principal = c.get("principal");
    const rows = await listVpcs(deps.store.db, principal.ownerId, confinedTo(principal));
    return json(rows.map(toVpc));
  });

  endpoint(app, {
    method: "get",
    path: "/api/vpcs/{id}",
    summary: "A VPC",
    params: idParams,
    responses: { 200: answers("The VPC", vpcSchema), 404: notFoundAnswer },
  }, async (c, { params }) => {
    return json(toVpc(await visibleVpc(deps.store.db, c.get("principal"), params.id)));
  });

  endpoint(app, {
    method: "get",
    path: "/api/vpcs/{id}/devices",
    summary: "All devices of a VPC, ordered by host name",
    params: idParams,
    responses: { 200: answers("The devices", z.array(deviceSchema)), 404: notFoundAnswer },
  }, async (c, { params }) => {
    const principal = c.get("principal");
    const vpc = await visibleVpc(deps.store.db, principal, params.id);
    const rows = await listDevices(deps.store.db, { vpcId: vpc.id });
    return json(presentDevices(deps.secret, principal, rows));
  });

  endpoint(app, {
    method: "get",
    path: "/api/vpcs/{id}/metadata",
    summary: "Metadata of all devices of a VPC, ordered by key",
    params: idParams,
    query: metadataQuery,
    responses: { 200: answers("The metadata", z.array(metadataSchema)), 404: notFoundAnswer },
  }, async (c, { params, query }) => {
    const vpc = await visibleVpc(deps.store.db, c.get("principal"), params.id);
    const rows = await listMetadata(deps.store.db, {
      vpcId: vpc.id,
      key: query.key?.[0],
      prefixes: query.prefix,
    });
    return json(rows.map(toMetadata));
  });
}

/** A VPC that the caller may read, or 404: it must be of its owner, and the one it is confined to. */
export async function visibleVpc(db: Reader, principal: Principal, id: string): Promise<VpcRow> {
  const confined = confinedTo(principal);
  if (confined !== undefined && confined !== id) throw notFound("vpc");
  const vpc = await findVpc(db, id, principal.ownerId);
  if (!vpc) throw notFound("vpc");
  return vpc;
}
