import { z } from "@hono/zod-openapi";
import { confinedTo, type Principal } from "../../auth/mod.ts";
import { presentListed, vpcDevices } from "../../devices/mod.ts";
import { answers, type App, endpoint, json, notFound } from "../../http/mod.ts";
import { listAnswer, listOptions, listQuery, type ListSpec, textField } from "../../http/mod.ts";
import { METADATA, metadataOf } from "../../metadata/mod.ts";
import { findVpc, type Reader, toMetadata, toVpc, type VpcRow } from "../../store/mod.ts";
import { addVpc, deleteVpc, updateVpc, vpcsQuery } from "../../vpcs/mod.ts";
import type { ApiDeps } from "../context.ts";
import { DEVICES } from "./devices.ts";
import {
  deviceSchema,
  errorSchema,
  idParams,
  metadataQuery,
  metadataSchema,
  optionalId,
  text,
} from "../schemas.ts";

const updateSchema = z.object({ description: text(255).nullish() }).openapi("UpdateVpc");
const addSchema = updateSchema.extend({
  organization_id: optionalId.nullish(),
  private_cidr: z.boolean().nullish(),
  ipv4_cidr: text(64).nullish(),
  ipv6_cidr: text(64).nullish(),
}).openapi("AddVpc");

const vpcSchema = z.object({
  id: z.string(),
  organization_id: z.string(),
  description: z.string(),
  private_cidr: z.boolean(),
  ipv4_cidr: z.string(),
  ipv6_cidr: z.string(),
  revision: z.number().int(),
}).openapi("Vpc");

const SPEC: ListSpec = {
  fields: {
    id: textField("vpcs.id"),
    organization_id: textField("vpcs.organization_id"),
    description: textField("vpcs.description"),
    ipv4_cidr: textField("vpcs.ipv4_cidr"),
    ipv6_cidr: textField("vpcs.ipv6_cidr"),
    private_cidr: { column: "vpcs.private_cidr", kind: "boolean" },
    revision: { column: "vpcs.revision", kind: "integer" },
  },
  order: "description",
  key: ["vpcs.id"],
};

const vpcAnswer = answers("The VPC", vpcSchema);
const notFoundAnswer = answers("No VPC that the caller may see", errorSchema);

/** VPCs, and what all their devices show. */
export function vpcRoutes(app: App, deps: ApiDeps): void {
  endpoint(app, {
    method: "get",
    path: "/api/vpcs",
    summary: "The VPCs that the caller may see, ordered by description",
    query: listQuery,
    responses: { 200: answers("The VPCs", z.array(vpcSchema)) },
  }, async (c, { query }) => {
    const vpcs = vpcsQuery(deps.store.db, c.get("principal"));
    return await listAnswer(vpcs, SPEC, listOptions(query, SPEC), toVpc);
  });

  endpoint(app, {
    method: "post",
    path: "/api/vpcs",
    summary: "Makes a VPC, with the shared ranges or with two of its own",
    body: addSchema,
    responses: {
      201: vpcAnswer,
      400: answers("A field is missing, or a range is unusable", errorSchema),
      404: answers("No organization that the caller is a member of", errorSchema),
    },
  }, async (c, { body }) => {
    return json(toVpc(await addVpc(deps.store, c.get("principal"), body)), 201);
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
    method: "patch",
    path: "/api/vpcs/{id}",
    summary: "Changes the description of a VPC",
    params: idParams,
    body: updateSchema,
    responses: { 200: vpcAnswer, 404: answers("No VPC that the caller owns", errorSchema) },
  }, async (c, { params, body }) => {
    return json(toVpc(await updateVpc(deps.store, c.get("principal"), params.id, body)));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/vpcs/{id}",
    summary: "Deletes a VPC with its groups and registration keys",
    params: idParams,
    responses: {
      200: answers("The VPC as it was", vpcSchema),
      400: answers("It is a default VPC, or devices are in it", errorSchema),
      404: answers("No VPC that the caller owns", errorSchema),
    },
  }, async (c, { params }) => {
    return json(toVpc(await deleteVpc(deps.store, c.get("principal"), params.id)));
  });

  endpoint(app, {
    method: "get",
    path: "/api/vpcs/{id}/devices",
    summary: "All devices of a VPC, ordered by host name",
    params: idParams,
    query: listQuery,
    responses: { 200: answers("The devices", z.array(deviceSchema)), 404: notFoundAnswer },
  }, async (c, { params, query }) => {
    const principal = c.get("principal");
    const vpc = await visibleVpc(deps.store.db, principal, params.id);
    return await listAnswer(
      vpcDevices(deps.store.db, vpc.id),
      DEVICES,
      listOptions(query, DEVICES),
      (row) => presentListed(deps.secret, principal, row),
    );
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
    const metadata = metadataOf(deps.store.db, {
      vpcId: vpc.id,
      key: query.key?.[0],
      prefixes: query.prefix,
    });
    return await listAnswer(metadata, METADATA, listOptions(query, METADATA), toMetadata);
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
