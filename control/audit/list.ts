import { type SelectQueryBuilder, sql, type SqlBool } from "kysely";
import { type ListOptions, type ListSpec, Problem, textField } from "../http/mod.ts";
import type { AuditRow, Reader, Tables } from "../store/mod.ts";

/** Lists of the log: the newest first. */
export const AUDIT: ListSpec = {
  fields: {
    id: { column: "audit_log.id", kind: "integer" },
    at: textField("audit_log.at"),
    request_id: textField("audit_log.request_id"),
    actor_kind: textField("audit_log.actor_kind"),
    actor_id: textField("audit_log.actor_id"),
    actor_name: textField("audit_log.actor_name"),
    organization_id: textField("audit_log.organization_id"),
    action: textField("audit_log.action"),
    resource_kind: textField("audit_log.resource_kind"),
    resource_id: textField("audit_log.resource_id"),
    resource_name: textField("audit_log.resource_name"),
    address: textField("audit_log.address"),
    outcome: textField("audit_log.outcome"),
  },
  order: "id",
  descending: true,
  key: ["audit_log.id"],
};

/** Columns in which an actor or a resource may be found that is asked for by one word. */
const WORDS = {
  actor: ["actor_id", "actor_name", "actor_kind"],
  resource: ["resource_id", "resource_name", "resource_kind"],
} as const;

/** Columns in which a part of a text is looked for. */
const SEARCHED = ["actor_name", "action", "resource_name", "address"] as const;

/** Which rows are asked for, apart from the filters of every list. */
export interface AuditRange {
  /** Of this time and later; of earlier ones: ISO 8601. */
  since?: string;
  until?: string;
  /** Rows with a greater number, and with a smaller one. */
  after?: number;
  before?: number;
  /** A part of a name, an action or an address, in any case. */
  search?: string;
}

type Given = { [K in keyof AuditRange]?: string[] | undefined };

/** Longest text that is looked for, in UTF-16 units. */
const MAX_SEARCH = 100;

/** Reads the query options that only this list has; 400 for one that cannot be read. */
export function readAuditRange(given: Given): AuditRange {
  const time = (name: "since" | "until") => {
    const text = given[name]?.[0];
    if (text === undefined || text === "") return {};
    const ms = Date.parse(text);
    // The year has four digits, as that is how times are compared.
    if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(ms)) {
      throw unreadable(name, "is a time such as 2026-01-31T08:00:00Z");
    }
    return { [name]: new Date(ms).toISOString() };
  };
  const number = (name: "after" | "before") => {
    const text = given[name]?.[0];
    if (text === undefined || text === "") return {};
    if (!/^\d{1,10}$/.test(text)) throw unreadable(name, "is the number of an entry");
    return { [name]: Number(text) };
  };
  const search = given.search?.[0]?.trim();
  if (search !== undefined && search.length > MAX_SEARCH) {
    throw unreadable("search", `has ${MAX_SEARCH} characters at most`);
  }
  return {
    ...time("since"),
    ...time("until"),
    ...number("after"),
    ...number("before"),
    ...(search ? { search } : {}),
  };
}

function unreadable(field: string, rule: string): Problem {
  return new Problem(400, {
    error: "query parameter invalid",
    field,
    reason: `${field} ${rule}`,
  });
}

/**
 * Rows of the log.
 *
 * @param organizations those whose rows are read; undefined for all, and for what belongs to none
 */
export function auditQuery(
  db: Reader,
  organizations: readonly string[] | undefined,
  range: AuditRange,
  options: ListOptions,
): SelectQueryBuilder<Tables, "audit_log", AuditRow> {
  let query = db.selectFrom("audit_log").selectAll("audit_log");
  if (organizations !== undefined) {
    query = organizations.length === 0
      ? query.where(sql<SqlBool>`1 = 0`)
      : query.where("organization_id", "in", organizations);
  }
  const { since, until, after, before, search } = range;
  if (since !== undefined) query = query.where("at", ">=", since);
  if (until !== undefined) query = query.where("at", "<", until);
  if (after !== undefined) query = query.where("id", ">", after);
  if (before !== undefined) query = query.where("id", "<", before);
  for (const [word, columns] of Object.entries(WORDS)) {
    const values = options.filter.get(word)?.map(String).filter((text) => !text.includes("\0"));
    if (values === undefined) continue;
    query = values.length === 0
      ? query.where(sql<SqlBool>`1 = 0`)
      : query.where((eb) => eb.or(columns.map((column) => eb(column, "in", values))));
  }
  if (search !== undefined) {
    const pattern = `%${search.toLowerCase().replaceAll(/[\\%_]/g, "\\$&")}%`;
    query = query.where((eb) =>
      eb.or(
        SEARCHED.map((column) =>
          sql<SqlBool>`lower(${sql.ref(column)}) like ${pattern} escape '\\'`
        ),
      )
    );
  }
  return query;
}

/** Names of the filters that {@linkcode auditQuery} sees to itself. */
export const AUDIT_WORDS: string[] = Object.keys(WORDS);
