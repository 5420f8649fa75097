import { z } from "@hono/zod-openapi";
import { answers, type App, endpoint, json, Problem } from "../http/mod.ts";
import { toRegKey } from "../store/mod.ts";

const regKeySchema = z.object({
  id: z.string(),
  owner_id: z.string(),
  vpc_id: z.string().optional(),
  bearer_token: z.string(),
  description: z.string().optional(),
  device_id: z.string().optional(),
  expires_at: z.string().optional(),
  security_group_id: z.string().nullable(),
  settings: z.record(z.string(), z.unknown()).nullable(),
}).openapi("RegKey");

/** Registration keys: what a key may know of itself. */
export function regKeyRoutes(app: App): void {
  endpoint(app, {
    method: "get",
    path: "/api/reg-keys/me",
    summary: "The registration key that makes the request",
    responses: { 200: answers("The key", regKeySchema) },
  }, (c) => {
    const principal = c.get("principal");
    if (principal.kind !== "reg-key") {
      throw new Problem(400, { error: "path parameter invalid", field: "key-id" });
    }
    return json(toRegKey(principal.regKey, principal.token));
  });
}
