/**
 * Lists: sorted, filtered and cut as the caller asks (`sort`, `filter`, `range`, each a JSON text), by
 * fields that the resource names. Long ones are read and sent page by page.
 */
import { setImmediate } from "node:timers";
import { type Expression, type SelectQueryBuilder, sql, type SqlBool } from "kysely";
import { z } from "@hono/zod-openapi";
import { JSON_TYPE, Problem } from "./problem.ts";

/** Rows read at first, so that the answer begins soon, and later at a time. */
const FIRST_PAGE = 100, PAGE = 500;
/** Longest query option that is looked at, in characters, and most values of a filter. */
const MAX_OPTION = 4096, MAX_VALUES = 100;
/** Integers that every database takes for one of its own. */
const MAX_INTEGER = 2 ** 31 - 1;

const option = (description: string) => z.array(z.string()).optional().openapi({ description });

/** Query options that every list takes. */
export const listQuery = z.object({
  sort: option('Field and direction as JSON: `["hostname","DESC"]`'),
  filter: option('Fields and their values, or lists of values, as JSON: `{"hostname":"a"}`'),
  range: option("First and last entry as JSON, both included: `[0,24]`"),
});

type ListQuery = z.output<typeof listQuery>;
type Value = string | number | boolean | null;

/** How a field of a list is kept: in a column that is never null, if lists are sorted by it. */
export interface ListField {
  /** With its table: `devices.hostname`. */
  column: string;
  kind: "text" | "integer" | "boolean";
}

/** A resource as a list. */
export interface ListSpec {
  fields: Readonly<Record<string, ListField>>;
  /** The field, or a column with its table, that it is ordered by unless asked otherwise. */
  order: string;
  /** Ordered by that from the last to the first, unless asked otherwise. */
  descending?: true;
  /** Columns that tell any two entries apart. */
  key: readonly string[];
}

/** A field that is the text of a column. */
export function textField(column: string): ListField {
  return { column, kind: "text" };
}

/** What a caller wants to see of a list. */
export interface ListOptions {
  sort?: { field: string; descending: boolean };
  filter: ReadonlyMap<string, readonly Value[]>;
  range?: { first: number; count: number };
}

/**
 * Reads the options of a list. What cannot be read is ignored, as stock servers do; a field that the
 * list does not have is a 400, as an answer that ignores it would be another one than was asked for.
 *
 * @param own filters that the resource sees to itself
 */
export function listOptions(query: ListQuery, spec: ListSpec, own: string[] = []): ListOptions {
  const known = (field: string, option: string) => {
    if (Object.hasOwn(spec.fields, field) || (option === "filter" && own.includes(field))) return;
    throw new Problem(400, {
      error: "query parameter invalid",
      field: option,
      reason: `${option} knows ${[...Object.keys(spec.fields), ...own].join(", ")}`,
    });
  };
  const sort = read(query.sort, SORT);
  if (sort) known(sort[0], "sort");
  const filter = new Map<string, Value[]>();
  for (const [field, value] of Object.entries(read(query.filter, FILTER) ?? {})) {
    known(field, "filter");
    filter.set(field, Array.isArray(value) ? value : [value]);
  }
  const range = read(query.range, RANGE);
  return {
    filter,
    ...(sort ? { sort: { field: sort[0], descending: sort[1] === "DESC" } } : {}),
    ...(range && range[1] >= range[0]
      ? { range: { first: range[0], count: range[1] - range[0] + 1 } }
      : {}),
  };
}

const SORT = z.tuple([z.string(), z.string().toUpperCase().pipe(z.enum(["ASC", "DESC"]))]);
const VALUE = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const FILTER = z.record(z.string(), z.union([VALUE, z.array(VALUE).max(MAX_VALUES)]));
const INDEX = z.number().int().min(0).max(MAX_INTEGER);
const RANGE = z.tuple([INDEX, INDEX]);

function read<T>(given: string[] | undefined, schema: z.ZodType<T>): T | undefined {
  const text = given?.[0];
  if (text === undefined || text.length > MAX_OPTION) return undefined;
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

// deno-lint-ignore no-explicit-any -- any table: the columns are those that a spec names
type Query<Row> = SelectQueryBuilder<any, any, Row>;

/**
 * Answers with a list: the rows of `query` that the options ask for, each as `present` shows it, and
 * their number without `range` in `X-Total-Count`.
 */
export async function listAnswer<Row>(
  // deno-lint-ignore no-explicit-any -- see Query
  query: SelectQueryBuilder<any, any, Row>,
  spec: ListSpec,
  options: ListOptions,
  present: (row: Row) => unknown,
): Promise<Response> {
  const filtered = filter(query as Query<Row>, spec, options);
  const { count } = await filtered.clearSelect()
    .select(sql<number>`count(*)`.as("count")).executeTakeFirstOrThrow() as { count: number };
  const pages = new Pages(filtered, spec, options, present);
  const headers = {
    "content-type": JSON_TYPE,
    "x-total-count": String(count),
    "access-control-expose-headers": "X-Total-Count",
  };
  const first = await pages.next();
  if (pages.done) return new Response(`[${first}]`, { headers });
  return new Response(stream(first, pages), { headers });
}

function filter<Row>(query: Query<Row>, spec: ListSpec, options: ListOptions): Query<Row> {
  for (const [name, values] of options.filter) {
    const field = spec.fields[name];
    if (!field) continue;
    const known = values.map((value) => stored(field, value)).filter((value) =>
      value !== undefined
    );
    query = known.length === 0
      ? query.where(sql<SqlBool>`1 = 0`)
      : query.where((eb) => eb(sql.ref(field.column), "in", known));
  }
  return query;
}

/** A value as the column has it; undefined for one that it cannot have. */
function stored({ kind }: ListField, value: Value): string | number | undefined {
  if (kind === "boolean") return typeof value === "boolean" ? Number(value) : undefined;
  if (kind === "integer") {
    return Number.isInteger(value) && Math.abs(value as number) <= MAX_INTEGER
      ? value as number
      : undefined;
  }
  return value === null || String(value).includes("\0") ? undefined : String(value);
}

/** Columns that order a list, and whether from the last to the first. */
function order(spec: ListSpec, options: ListOptions): { column: string; descending: boolean }[] {
  const descending = options.sort?.descending ?? spec.descending ?? false;
  const by = options.sort?.field ?? spec.order;
  const column = spec.fields[by]?.column ?? by;
  return [column, ...spec.key.filter((key) => key !== column)]
    .map((column) => ({ column, descending }));
}

function ordered<Row>(query: Query<Row>, spec: ListSpec, options: ListOptions): Query<Row> {
  return order(spec, options).reduce(
    (query, { column, descending }) => query.orderBy(sql.ref(column), descending ? "desc" : "asc"),
    query,
  );
}

/** Reads a list in its order, a page at a time, each from where the last one ended. */
class Pages<Row> {
  done = false;
  readonly #query: Query<Row>;
  readonly #order: { column: string; descending: boolean }[];
  readonly #present: (row: Row) => unknown;
  readonly #first: number;
  #left: number;
  #last: unknown[] | undefined;

  constructor(
    query: Query<Row>,
    spec: ListSpec,
    options: ListOptions,
    present: (row: Row) => unknown,
  ) {
    this.#order = order(spec, options);
    this.#query = this.#order.reduce(
      (query, { column }, i) => query.select(sql.ref(column).as(`order_${i}`)),
      ordered(query, spec, options),
    ) as Query<Row>;
    this.#present = present;
    this.#first = options.range?.first ?? 0;
    this.#left = options.range?.count ?? Infinity;
  }

  /** The next entries as JSON, with commas between them. */
  async next(): Promise<string> {
    const limit = Math.min(this.#last ? PAGE : FIRST_PAGE, this.#left);
    let query = this.#query.limit(limit);
    const last = this.#last;
    if (last) query = query.where(() => this.#after(last));
    else if (this.#first > 0) query = query.offset(this.#first);
    const rows = await query.execute();
    this.#left -= rows.length;
    this.done = rows.length < limit || this.#left === 0;
    const end = rows.at(-1) as Record<string, unknown> | undefined;
    if (end) this.#last = this.#order.map((_, i) => end[`order_${i}`]);
    return rows.map((row) => JSON.stringify(this.#present(row))).join(",");
  }

  /** Holds for rows behind this one: at the first column in which they differ. */
  #after(last: readonly unknown[]): Expression<SqlBool> {
    const parts = this.#order.map(({ column, descending }, i) => ({
      ref: sql.ref(column),
      value: last[i],
      beyond: sql.raw(descending ? "<" : ">"),
    }));
    const behind = parts.reduceRight<Expression<SqlBool>>(
      (rest, { ref, value, beyond }) =>
        sql<SqlBool>`(${ref} ${beyond} ${value} or (${ref} = ${value} and ${rest}))`,
      sql<SqlBool>`1 = 0`,
    );
    // Says the same again, in a form by which an index can be entered in the middle.
    const { ref, value, beyond } = parts[0]!;
    return sql<SqlBool>`${ref} ${beyond}= ${value} and ${behind}`;
  }
}

function stream<Row>(first: string, pages: Pages<Row>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode(`[${first}`)),
    async pull(controller) {
      // What is there goes out, and others have their turn, before the next page is read.
      await new Promise((resolve) => setImmediate(resolve));
      const next = await pages.next();
      controller.enqueue(encoder.encode((next === "" ? "" : `,${next}`) + (pages.done ? "]" : "")));
      if (pages.done) controller.close();
    },
  }, { highWaterMark: 1 });
}
