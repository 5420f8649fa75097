import { z } from "@hono/zod-openapi";
import { answers, type App, endpoint, json } from "../http/mod.ts";
import type { ApiDeps } from "./context.ts";

const statusSchema = z.object({ status: z.enum(["UP", "DOWN"]) });

/** Probes for supervisors and load balancers; no credentials, and nothing to learn from them. */
export function healthRoutes(app: App, deps: ApiDeps): void {
  endpoint(app, {
    method: "get",
    path: "/private/live",
    summary: "Whether the process answers",
    responses: { 200: answers("It does", statusSchema) },
  }, () => json({ status: "UP" }));

  endpoint(app, {
    method: "get",
    path: "/private/ready",
    summary: "Whether the process can serve requests",
    responses: {
      200: answers("It can", statusSchema),
      503: answers("The database does not answer", statusSchema),
    },
  }, async () => await deps.store.ready() ? json({ status: "UP" }) : json({ status: "DOWN" }, 503));
}
