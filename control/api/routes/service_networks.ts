import { z } from "@hono/zod-openapi";
import {
  answers,
  type App,
  endpoint,
  json,
  listAnswer,
  listOptions,
  listQuery,
  type ListSpec,
  textField,
} from "../../http/mod.ts";
import {
  addServiceNetwork,
  deleteServiceNetwork,
  serviceNetworksQuery,
  toServiceNetwork,
  updateServiceNetwork,
  visibleServiceNetwork,
} from "../../service_networks/mod.ts";
import type { ApiDeps } from "../context.ts";
import { errorSchema, idParams, optionalId, text } from "../schemas.ts";

const updateSchema = z.object({ description: text(255).nullish() })
  .openapi("UpdateServiceNetwork");
const addSchema = updateSchema.extend({ organization_id: optionalId.nullish() })
  .openapi("AddServiceNetwork");

const networkSchema = z.object({
  id: z.string(),
  organization_id: z.string(),
  description: z.string(),
  revision: z.number().int(),
}).openapi("ServiceNetwork");

const network = answers("The network", networkSchema);
const unknown = answers("No such network or organization for this caller", errorSchema);

const SPEC: ListSpec = {
  fields: {
    id: textField("service_networks.id"),
    organization_id: textField("service_networks.organization_id"),
    description: textField("service_networks.description"),
  },
  order: "description",
  key: ["service_networks.id"],
};

/** Service networks: members of an organization see them, its owners change them. */
export function serviceNetworkRoutes(app: App, deps: ApiDeps): void {
  const { store } = deps;

  endpoint(app, {
    method: "get",
    path: "/api/service-networks",
    summary: "The service networks of the caller's organizations",
    query: listQuery,
    responses: { 200: answers("The networks", z.array(networkSchema)) },
  }, async (c, { query }) => {
    const networks = serviceNetworksQuery(store.db, c.get("principal"));
    return await listAnswer(networks, SPEC, listOptions(query, SPEC), toServiceNetwork);
  });

  endpoint(app, {
    method: "post",
    path: "/api/service-networks",
    summary: "Makes a service network in an organization",
    body: addSchema,
    responses: {
      201: network,
      400: answers("The organization is missing", errorSchema),
      404: unknown,
    },
  }, async (c, { body }) => {
    const row = await addServiceNetwork(store, c.get("principal"), body);
    return json(toServiceNetwork(row), 201);
  });

  endpoint(app, {
    method: "get",
    path: "/api/service-networks/{id}",
    summary: "A service network",
    params: idParams,
    responses: { 200: network, 404: unknown },
  }, async (c, { params }) => {
    const row = await visibleServiceNetwork(store.db, c.get("principal"), params.id);
    return json(toServiceNetwork(row));
  });

  endpoint(app, {
    method: "patch",
    path: "/api/service-networks/{id}",
    summary: "Changes the description of a service network",
    params: idParams,
    body: updateSchema,
    responses: { 200: network, 404: unknown },
  }, async (c, { params, body }) => {
    const row = await updateServiceNetwork(store, c.get("principal"), params.id, body);
    return json(toServiceNetwork(row));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/service-networks/{id}",
    summary: "Deletes a service network",
    params: idParams,
    responses: { 200: answers("The network as it was", networkSchema), 404: unknown },
  }, async (c, { params }) => {
    const row = await deleteServiceNetwork(store, c.get("principal"), params.id);
    return json(toServiceNetwork(row));
  });
}
