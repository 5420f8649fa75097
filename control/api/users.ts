import { z } from "@hono/zod-openapi";
import type { Principal } from "../auth/mod.ts";
import { answers, type App, endpoint, json, notFound } from "../http/mod.ts";
import { type Reader, toUser, type UserRow } from "../store/mod.ts";
import type { ApiDeps } from "./context.ts";
import { errorSchema, pathId } from "./schemas.ts";

const userSchema = z.object({
  id: z.string(),
  full_name: z.string(),
  picture: z.string(),
  username: z.string(),
}).openapi("User");

const params = z.object({ id: z.union([z.literal("me"), pathId]) });

/** Users: each sees itself. It is there with its first call, as signing in made it. */
export function userRoutes(app: App, deps: ApiDeps): void {
  endpoint(app, {
    method: "get",
    path: "/api/users",
    summary: "The caller",
    responses: { 200: answers("The caller alone", z.array(userSchema)) },
  }, async (c) => json([toUser(await visibleUser(deps.store.db, c.get("principal"), "me"))]));

  endpoint(app, {
    method: "get",
    path: "/api/users/{id}",
    summary: "The caller, by `me` or by id",
    params,
    responses: {
      200: answers("The user", userSchema),
      404: answers("Another user, or none", errorSchema),
    },
  }, async (c, { params }) => {
    return json(toUser(await visibleUser(deps.store.db, c.get("principal"), params.id)));
  });
}

async function visibleUser(db: Reader, principal: Principal, id: string): Promise<UserRow> {
  if (id !== "me" && id !== principal.ownerId) throw notFound("user");
  const user = await db.selectFrom("users").selectAll().where("id", "=", principal.ownerId)
    .executeTakeFirst();
  if (!user) throw notFound("user");
  return user;
}
