import { z } from "@hono/zod-openapi";
import { answers, type App, endpoint, json, notFound } from "../http/mod.ts";
import { findOrganization, listOrganizations, toOrganization } from "../store/mod.ts";
import type { ApiDeps } from "./context.ts";
import { errorSchema, idParams } from "./schemas.ts";

const organizationSchema = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
}).openapi("Organization");

/** Organizations that the caller is a member of. */
export function organizationRoutes(app: App, deps: ApiDeps): void {
  endpoint(app, {
    method: "get",
    path: "/api/organizations",
    summary: "The caller's organizations, ordered by name",
    responses: { 200: answers("The organizations", z.array(organizationSchema)) },
  }, async (c) => {
    const rows = await listOrganizations(deps.store.db, c.get("principal").ownerId);
    return json(rows.map(toOrganization));
  });

  endpoint(app, {
    method: "get",
    path: "/api/organizations/{id}",
    summary: "An organization",
    params: idParams,
    responses: {
      200: answers("The organization", organizationSchema),
      404: answers("No organization that the caller is a member of", errorSchema),
    },
  }, async (c, { params }) => {
    const { ownerId } = c.get("principal");
    const row = await findOrganization(deps.store.db, params.id, ownerId);
    if (!row) throw notFound("organization");
    return json(toOrganization(row));
  });
}
