import { z } from "@hono/zod-openapi";
import type { Principal } from "../../../auth/mod.ts";
import {
  answers,
  type App,
  endpoint,
  json,
  listAnswer,
  listOptions,
  listQuery,
  type ListSpec,
  notFound,
  textField,
} from "../../../http/mod.ts";
import { removeMember } from "../../../organizations/mod.ts";
import { type Reader, toUser, type UserRow } from "../../../store/mod.ts";
import { deleteUser } from "../../../users/mod.ts";
import type { ApiDeps } from "../../context.ts";
import { errorSchema, pathId, userSchema } from "../../schemas.ts";

const params = z.object({ id: z.union([z.literal("me"), pathId]) });

const SPEC: ListSpec = {
  fields: {
    id: textField("users.id"),
    username: textField("users.username"),
    full_name: textField("users.full_name"),
  },
  order: "username",
  key: ["users.id"],
};

/** Users: each sees itself. It is there with its first call, as signing in made it. */
export function userRoutes(app: App, deps: ApiDeps): void {
  const { store } = deps;

  endpoint(app, {
    method: "get",
    path: "/api/users",
    summary: "The caller",
    query: listQuery,
    responses: { 200: answers("The caller alone", z.array(userSchema)) },
  }, async (c, { query }) => {
    const users = store.db.selectFrom("users").selectAll("users")
      .where("users.id", "=", c.get("principal").ownerId).where("users.deleted_at", "is", null);
    return await listAnswer(users, SPEC, listOptions(query, SPEC), toUser);
  });

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
    return json(toUser(await visibleUser(store.db, c.get("principal"), params.id)));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/users/{id}",
    summary: "Deletes the caller, with its keys, invitations and the organizations of its own",
    params: z.object({ id: pathId }),
    responses: {
      200: answers("The user as it was", userSchema),
      400: answers("Devices are left, the user's or in its organizations", errorSchema),
      404: answers("Another user, or none", errorSchema),
    },
  }, async (c, { params }) => {
    const user = await deleteUser(store, c.get("principal"), params.id);
    return json(toUser(user));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/users/{id}/organizations/{organization}",
    summary: "Takes a user out of an organization: an owner anybody, anybody himself",
    params: z.object({ id: pathId, organization: pathId }),
    responses: {
      200: answers("The user", userSchema),
      400: answers("The last owner, or the organization that came with the user", errorSchema),
      404: answers("No such member, or not the caller's to take out", errorSchema),
    },
  }, async (c, { params }) => {
    const member = await removeMember(store, c.get("principal"), {
      organizationId: params.organization,
      userId: params.id,
      self: true,
    });
    return json(toUser(member));
  });
}

async function visibleUser(db: Reader, principal: Principal, id: string): Promise<UserRow> {
  if (id !== "me" && id !== principal.ownerId) throw notFound("user");
  const user = await db.selectFrom("users").selectAll().where("id", "=", principal.ownerId)
    .where("deleted_at", "is", null).executeTakeFirst();
  if (!user) throw notFound("user");
  return user;
}
