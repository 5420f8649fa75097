import { z } from "@hono/zod-openapi";
import { answers, type App, endpoint, json, notFound, Problem } from "../../http/mod.ts";
import { errorSchema } from "../schemas.ts";

/** What this server can do, by the names that clients know. */
const FLAGS: Readonly<Record<string, boolean>> = {
  "ca": false,
  "devices": true,
  "multi-organization": true,
  "security-groups": true,
  "sites": false,
};

const flagsSchema = z.record(z.string(), z.boolean());

/** Feature flags, and the answers of features that this server does not have. */
export function featureRoutes(app: App): void {
  endpoint(app, {
    method: "get",
    path: "/api/fflags",
    summary: "Which features this server has",
    responses: { 200: answers("Name and value of each", flagsSchema) },
  }, () => json(FLAGS));

  endpoint(app, {
    method: "get",
    path: "/api/fflags/{name}",
    summary: "Whether this server has a feature",
    params: z.object({ name: z.string().max(64) }),
    responses: {
      200: answers("Name and value", flagsSchema),
      404: answers("No such feature is known", errorSchema),
    },
  }, (_c, { params: { name } }) => {
    if (!Object.hasOwn(FLAGS, name)) throw notFound("flag");
    return json({ [name]: FLAGS[name] });
  });

  for (const method of ["get", "post"] as const) disabled(app, method, "/api/sites", "sites");
  for (const method of ["get", "patch", "delete"] as const) {
    disabled(app, method, "/api/sites/{id}", "sites");
  }
  disabled(app, "get", "/api/service-networks/{id}/sites", "sites");
  // What the Go administration tool asks for in its place.
  disabled(app, "get", "/api/ServiceNetworks/{id}/sites", "sites");
  disabled(app, "post", "/api/ca/sign", "ca");
}

function disabled(
  app: App,
  method: "get" | "post" | "patch" | "delete",
  path: string,
  flag: string,
): void {
  endpoint(app, {
    method,
    path,
    summary: `Not on this server: the feature ${flag} is off`,
    ...(path.includes("{id}") ? { params: z.object({ id: z.string() }) } : {}),
    responses: { 405: answers("The feature is off", errorSchema) },
  }, () => {
    throw new Problem(405, {
      error: "operation not allowed",
      reason: `${flag} support is disabled`,
    });
  });
}
