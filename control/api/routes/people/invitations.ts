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
  acceptInvitation,
  deleteInvitation,
  invitationsQuery,
  invite,
  toInvitation,
  toNewInvitation,
  visibleInvitation,
} from "../../../invitations/mod.ts";
import type { ApiDeps } from "../../context.ts";
import {
  errorSchema,
  idParams,
  optionalId,
  organizationSchema,
  text,
  userSchema,
} from "../../schemas.ts";

const addSchema = z.object({
  organization_id: optionalId.nullish(),
  user_id: optionalId.nullish(),
  email: text(254).nullish(),
  roles: z.array(text(32)).max(8).nullish(),
}).openapi("AddInvitation");

const invitationSchema = z.object({
  id: z.string(),
  user_id: z.string().optional(),
  email: z.string().openapi({ description: '`""`: none' }),
  organization_id: z.string(),
  organization: organizationSchema.optional(),
  expires_at: z.string(),
  from: userSchema.optional(),
  roles: z.array(z.string()),
  link: z.string().optional().openapi({
    description: "Only when it was made, for an address that nobody here has: whoever opens it " +
      "first chooses a name and a password, and is a member",
  }),
}).openapi("Invitation");

const unknown = answers("No invitation for the caller, or of its organizations", errorSchema);

const SPEC: ListSpec = {
  fields: {
    id: textField("invitations.id"),
    organization_id: textField("invitations.organization_id"),
    expires_at: textField("invitations.expires_at"),
  },
  order: "id",
  key: ["invitations.id"],
};

/** Invitations into organizations: made by owners, accepted by whom they are for, deleted by both. */
export function invitationRoutes(app: App, deps: ApiDeps): void {
  const { store } = deps;

  endpoint(app, {
    method: "get",
    path: "/api/invitations",
    summary: "Invitations for the caller, and into organizations that it owns",
    query: listQuery,
    responses: { 200: answers("The invitations", z.array(invitationSchema)) },
  }, async (c, { query }) => {
    const invitations = invitationsQuery(store.db, c.get("principal"));
    return await listAnswer(invitations, SPEC, listOptions(query, SPEC), toInvitation);
  });

  endpoint(app, {
    method: "post",
    path: "/api/invitations",
    summary: "Invites a user, by id or by e-mail address, into an organization of the caller's",
    body: addSchema,
    responses: {
      201: answers("The invitation", invitationSchema),
      400: answers("A field is missing or unusable, or a member is invited", errorSchema),
      404: answers("No organization that the caller owns, or no such user", errorSchema),
      409: answers("An invitation waits already; `id` is its id", errorSchema),
    },
  }, async (c, { body }) => {
    const { row, code } = await invite(store, c.get("principal"), body);
    const link = code === undefined ? undefined : deps.issuer?.invitationLink?.(code);
    return json({ ...toNewInvitation(row), ...(link === undefined ? {} : { link }) }, 201);
  });

  endpoint(app, {
    method: "get",
    path: "/api/invitations/{id}",
    summary: "An invitation",
    params: idParams,
    responses: { 200: answers("The invitation", invitationSchema), 404: unknown },
  }, async (c, { params }) => {
    return json(toInvitation(await visibleInvitation(store.db, c.get("principal"), params.id)));
  });

  endpoint(app, {
    method: "post",
    path: "/api/invitations/{id}/accept",
    summary: "Accepts an invitation: the caller is a member from now on",
    params: idParams,
    responses: {
      204: { description: "The caller is a member" },
      404: answers("No invitation for the caller", errorSchema),
    },
  }, async (c, { params }) => {
    await acceptInvitation(store, c.get("principal"), params.id);
    return new Response(null, { status: 204 });
  });

  endpoint(app, {
    method: "delete",
    path: "/api/invitations/{id}",
    summary: "Takes an invitation back, or turns it down",
    params: idParams,
    responses: { 204: { description: "It is gone" }, 404: unknown },
  }, async (c, { params }) => {
    await deleteInvitation(store, c.get("principal"), params.id);
    return new Response(null, { status: 204 });
  });
}
