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
} from "../../../http/mod.ts";
import {
  createOrganization,
  deleteOrganization,
  memberOf,
  membersQuery,
  organizationsQuery,
  removeMember,
  roleMark,
  ROLES,
  toMember,
  visibleOrganization,
} from "../../../organizations/mod.ts";
import { toOrganization } from "../../../store/mod.ts";
import type { ApiDeps } from "../../context.ts";
import {
  errorSchema,
  idParams,
  organizationSchema,
  pathId,
  text,
  userSchema,
} from "../../schemas.ts";

const addSchema = z.object({
  name: text(255).nullish(),
  description: text(255).nullish(),
}).openapi("AddOrganization");

const memberSchema = z.object({
  user_id: z.string(),
  organization_id: z.string(),
  user: userSchema,
  roles: z.array(z.enum(ROLES)),
}).openapi("UserOrganization");

const memberParams = z.object({ id: pathId, uid: pathId });
const unknown = answers("No organization that the caller is a member of", errorSchema);

const SPEC: ListSpec = {
  fields: {
    id: textField("organizations.id"),
    name: textField("organizations.name"),
    description: textField("organizations.description"),
  },
  order: "name",
  key: ["organizations.id"],
};

const MEMBERS: ListSpec = {
  fields: {
    user_id: textField("users.id"),
    username: textField("users.username"),
    full_name: textField("users.full_name"),
  },
  order: "username",
  key: ["users.id"],
};

/** Organizations that the caller is a member of, and their members. */
export function organizationRoutes(app: App, deps: ApiDeps): void {
  const { store } = deps;

  endpoint(app, {
    method: "get",
    path: "/api/organizations",
    summary: "The caller's organizations, ordered by name",
    query: listQuery,
    responses: { 200: answers("The organizations", z.array(organizationSchema)) },
  }, async (c, { query }) => {
    const options = listOptions(query, SPEC, ["roles"]);
    let organizations = organizationsQuery(store.db, c.get("principal"));
    const roles = options.filter.get("roles");
    if (roles) {
      const marks = ROLES.filter((role) => roles.includes(role)).map(roleMark);
      organizations = organizations.where((eb) =>
        eb.or(marks.map((mark) => eb("memberships.roles_json", "like", mark)))
      );
    }
    return await listAnswer(organizations, SPEC, options, toOrganization);
  });

  endpoint(app, {
    method: "post",
    path: "/api/organizations",
    summary: "Makes an organization that the caller owns",
    body: addSchema,
    responses: {
      201: answers("The organization", organizationSchema),
      400: answers("The name is missing", errorSchema),
      409: answers("The name is taken; `id` only where the caller is a member", errorSchema),
    },
  }, async (c, { body }) => {
    return json(toOrganization(await createOrganization(store, c.get("principal"), body)), 201);
  });

  endpoint(app, {
    method: "get",
    path: "/api/organizations/{id}",
    summary: "An organization",
    params: idParams,
    responses: { 200: answers("The organization", organizationSchema), 404: unknown },
  }, async (c, { params }) => {
    return json(toOrganization(
      await visibleOrganization(store.db, c.get("principal"), params.id),
    ));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/organizations/{id}",
    summary: "Deletes an organization with its VPCs, keys and invitations",
    params: idParams,
    responses: {
      200: answers("The organization as it was", organizationSchema),
      400: answers("It came with a user, or devices are in its VPCs", errorSchema),
      404: answers("No organization that the caller owns", errorSchema),
    },
  }, async (c, { params }) => {
    const row = await deleteOrganization(store, c.get("principal"), params.id);
    return json(toOrganization(row));
  });

  endpoint(app, {
    method: "get",
    path: "/api/organizations/{id}/users",
    summary: "The members of an organization, ordered by user name",
    params: idParams,
    query: listQuery,
    responses: { 200: answers("The members", z.array(memberSchema)), 404: unknown },
  }, async (c, { params, query }) => {
    const { id } = await visibleOrganization(store.db, c.get("principal"), params.id);
    const members = membersQuery(store.db, id);
    return await listAnswer(members, MEMBERS, listOptions(query, MEMBERS), toMember);
  });

  endpoint(app, {
    method: "get",
    path: "/api/organizations/{id}/users/{uid}",
    summary: "A member of an organization",
    params: memberParams,
    responses: { 200: answers("The member", memberSchema), 404: unknown },
  }, async (c, { params }) => {
    const { id } = await visibleOrganization(store.db, c.get("principal"), params.id);
    return json(toMember(await memberOf(store.db, id, params.uid)));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/organizations/{id}/users/{uid}",
    summary: "Takes a member out of an organization, and its devices out of the VPCs",
    params: memberParams,
    responses: {
      200: answers("The member as it was", memberSchema),
      400: answers("The caller itself", errorSchema),
      404: answers("No organization that the caller owns, or no such member", errorSchema),
    },
  }, async (c, { params }) => {
    const member = await removeMember(store, c.get("principal"), {
      organizationId: params.id,
      userId: params.uid,
      self: false,
    });
    return json(toMember(member));
  });
}
