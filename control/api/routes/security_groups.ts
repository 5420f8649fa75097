import { z } from "@hono/zod-openapi";
import { confinedTo } from "../../auth/mod.ts";
import { answers, type App, endpoint, json, notFound } from "../../http/mod.ts";
import { listAnswer, listOptions, listQuery, type ListSpec, textField } from "../../http/mod.ts";
import {
  createGroup,
  deleteGroup,
  groupsQuery,
  updateGroup,
  visibleGroup,
} from "../../security_groups/mod.ts";
import { toSecurityGroup } from "../../store/mod.ts";
import type { ApiDeps } from "../context.ts";
import { errorSchema, idParams, uuid } from "../schemas.ts";
import { visibleVpc } from "./vpcs.ts";

/** Most rules of a direction, and ranges of a rule: every agent of a VPC carries all of them. */
const MAX_RULES = 100, MAX_RANGES = 100;

// Which values make sense is checked later, as that is answered in a form of its own.
const rules = z.array(
  z.object({
    ip_protocol: z.string().max(64).nullish(),
    from_port: z.number().int().nullish(),
    to_port: z.number().int().nullish(),
    ip_ranges: z.array(z.string().max(128)).max(MAX_RANGES).nullish(),
  }),
).max(MAX_RULES).nullish();

const addSchema = z.object({
  vpc_id: uuid.nullish(),
  description: z.string().max(255).nullish(),
  inbound_rules: rules,
  outbound_rules: rules,
}).openapi("AddSecurityGroup");

const updateSchema = z.object({
  description: z.string().max(255).nullish(),
  inbound_rules: rules,
  outbound_rules: rules,
}).openapi("UpdateSecurityGroup");

const ruleSchema = z.object({
  ip_protocol: z.string(),
  from_port: z.number().int(),
  to_port: z.number().int(),
  ip_ranges: z.array(z.string()).optional(),
}).openapi("SecurityRule");

const groupSchema = z.object({
  id: z.string(),
  description: z.string(),
  vpc_id: z.string(),
  inbound_rules: z.array(ruleSchema).optional(),
  outbound_rules: z.array(ruleSchema).optional(),
  revision: z.number().int(),
}).openapi("SecurityGroup");

const SPEC: ListSpec = {
  fields: {
    id: textField("security_groups.id"),
    vpc_id: textField("security_groups.vpc_id"),
    description: textField("security_groups.description"),
    revision: { column: "security_groups.revision", kind: "integer" },
  },
  // As they were made: a VPC's own group comes first.
  order: "security_groups.made",
  key: ["security_groups.id"],
};

const group = answers("The group", groupSchema);
const groups = answers("The groups", z.array(groupSchema));
const badRule = answers("A rule is unusable; `field` tells what of it", errorSchema);

/** Security groups: members of a VPC's organization see them, its owners change them. */
export function securityGroupRoutes(app: App, deps: ApiDeps): void {
  const { store } = deps;

  endpoint(app, {
    method: "get",
    path: "/api/security-groups",
    summary: "The security groups of all VPCs that the caller may see",
    query: listQuery,
    responses: { 200: groups },
  }, async (c, { query }) => {
    const principal = c.get("principal");
    const rows = groupsQuery(store.db, principal.ownerId, confinedTo(principal));
    return await listAnswer(rows, SPEC, listOptions(query, SPEC), toSecurityGroup);
  });

  endpoint(app, {
    method: "get",
    path: "/api/vpcs/{id}/security-groups",
    summary: "The security groups of a VPC",
    params: idParams,
    query: listQuery,
    responses: { 200: groups, 404: answers("No such VPC for this caller", errorSchema) },
  }, async (c, { params, query }) => {
    const principal = c.get("principal");
    const vpc = await visibleVpc(store.db, principal, params.id);
    const rows = groupsQuery(store.db, principal.ownerId, vpc.id);
    return await listAnswer(rows, SPEC, listOptions(query, SPEC), toSecurityGroup);
  });

  endpoint(app, {
    method: "post",
    path: "/api/security-groups",
    summary: "Makes a security group in a VPC",
    body: addSchema,
    responses: {
      201: group,
      400: answers("A field is missing or unusable", errorSchema),
      404: answers("No such VPC, or not the caller's to change", errorSchema),
      422: badRule,
    },
  }, async (c, { body }) => {
    const row = await createGroup(store, c.get("principal"), body);
    return json(toSecurityGroup(row), 201);
  });

  endpoint(app, {
    method: "get",
    path: "/api/security-groups/{id}",
    summary: "A security group",
    params: idParams,
    responses: { 200: group, 404: { description: "No such group for this caller" } },
  }, async (c, { params }) => {
    const row = await visibleGroup(store.db, c.get("principal").ownerId, params.id);
    if (!row) throw notFound();
    return json(toSecurityGroup(row));
  });

  endpoint(app, {
    method: "patch",
    path: "/api/security-groups/{id}",
    summary: "Changes a security group; absent fields stay, empty lists of rules let all through",
    params: idParams,
    body: updateSchema,
    responses: {
      200: group,
      404: answers("No such group, or not the caller's to change", errorSchema),
      422: badRule,
    },
  }, async (c, { params, body }) => {
    const row = await updateGroup(store, c.get("principal"), params.id, body);
    return json(toSecurityGroup(row));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/security-groups/{id}",
    summary: "Deletes a security group that nothing uses",
    params: idParams,
    responses: {
      200: answers("The group as it was", groupSchema),
      400: answers("It is its VPC's own, or in use", errorSchema),
      404: answers("No such group, or not the caller's to change", errorSchema),
    },
  }, async (c, { params }) => {
    const row = await deleteGroup(store, c.get("principal"), params.id);
    return json(toSecurityGroup(row));
  });
}
