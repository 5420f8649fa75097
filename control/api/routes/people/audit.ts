import { z } from "@hono/zod-openapi";
import { AUDIT, AUDIT_WORDS, auditQuery, readAuditRange } from "../../../audit/mod.ts";
import { isOperator, type Principal } from "../../../auth/mod.ts";
import {
  answers,
  type App,
  endpoint,
  listAnswer,
  listOptions,
  listQuery,
  notFound,
} from "../../../http/mod.ts";
import { ownedBy } from "../../../organizations/mod.ts";
import { EVERY_ORGANIZATION, type Reader, toAuditEntry } from "../../../store/mod.ts";
import type { ApiDeps } from "../../context.ts";
import { errorSchema } from "../../schemas.ts";

const value = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const entrySchema = z.object({
  id: z.number().int().openapi({ description: "Rises with each entry" }),
  at: z.string(),
  request_id: z.string().openapi({ description: "The X-Request-Id of the answer" }),
  actor: z.object({
    kind: z.enum(["user", "device", "reg-key", "system"]),
    id: z.string(),
    name: z.string().openapi({ description: "As it was then" }),
  }),
  organization_id: z.string().openapi({ description: "Empty: of the whole service" }),
  action: z.string().openapi({ description: "Resource and verb: vpc.create" }),
  resource: z.object({ kind: z.string(), id: z.string(), name: z.string() }),
  address: z.string().openapi({ description: "IP address that the request came from" }),
  outcome: z.enum(["done", "refused"]),
  changes: z.record(z.string(), z.object({ old: value.optional(), new: value.optional() }))
    .openapi({ description: "Fields with what they were and what they became" }),
}).openapi("AuditEntry");

const option = (description: string) => z.array(z.string()).optional().openapi({ description });

const query = listQuery.extend({
  since: option("Entries of this time and later: 2026-01-31T08:00:00Z"),
  until: option("Entries of before this time"),
  after: option("Entries with a greater id: what is new since that one was read"),
  before: option("Entries with a smaller id: the next page, whatever is new meanwhile"),
  search: option("A part of an actor's or a resource's name, an action or an address, in any case"),
});

/** The audit log: owners read their organizations', the operator of the control plane all. */
export function auditRoutes(app: App, { store }: ApiDeps): void {
  endpoint(app, {
    method: "get",
    path: "/api/audit",
    summary: "Who did what when, in the organizations that the caller owns; the newest first",
    query,
    responses: {
      200: answers(
        "The entries. `filter` also knows `actor` and `resource`: an id, a name or a kind",
        z.array(entrySchema),
      ),
      400: answers("An option that cannot be read", errorSchema),
    },
  }, async (c, { query }) => {
    const range = readAuditRange(query);
    const options = listOptions(query, AUDIT, AUDIT_WORDS);
    const readable = await readableLogs(store.db, c.get("principal"));
    return await listAnswer(
      auditQuery(store.db, readable, range, options),
      AUDIT,
      options,
      toAuditEntry,
    );
  });
}

/** The organizations whose log a caller may read; undefined: all, and what belongs to none. */
async function readableLogs(db: Reader, principal: Principal): Promise<string[] | undefined> {
  if (principal.kind !== "user") return [];
  return await isOperator(db, principal) ? undefined : await ownedBy(db, principal.ownerId);
}

/** What a watch of the log follows: one organization, or, for the operator, all; 404 for others. */
export async function auditTopic(
  db: Reader,
  principal: Principal,
  organizationId: string | undefined,
): Promise<string> {
  const readable = await readableLogs(db, principal);
  if (organizationId === undefined) {
    if (readable === undefined) return EVERY_ORGANIZATION;
  } else if (readable === undefined || readable.includes(organizationId)) return organizationId;
  throw notFound("organization");
}
