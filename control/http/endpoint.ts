import { OpenAPIHono, type RouteConfig, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Origin, Principal } from "../auth/mod.ts";
import { isPlainText, readJson } from "./body.ts";
import { fieldInvalid, fieldMissing, JSON_TYPE, jsonInvalid, Problem } from "./problem.ts";

/** What a request carries through the application. */
export interface Env {
  Bindings: { remoteAddr?: Deno.NetAddr };
  Variables: { principal: Principal; requestId: string };
}

export type App = OpenAPIHono<Env>;
export type ApiContext = Context<Env>;

type Method = "get" | "post" | "put" | "patch" | "delete";

/** A route with its schemas: they check the request and are the OpenAPI document. */
export interface Endpoint<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  method: Method;
  /** With parameters in braces: `/api/devices/{id}`. */
  path: string;
  summary: string;
  /** Of path parameters, all strings. */
  params?: P;
  /** Of query parameters, each an array of strings, as any may be repeated. */
  query?: Q;
  body?: B;
  responses: RouteConfig["responses"];
}

/** A checked request. */
export interface Input<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  params: z.output<P>;
  query: z.output<Q>;
  body: z.output<B>;
}

/** Adds a route to the application and to its OpenAPI document. */
export function endpoint<
  P extends z.ZodType = z.ZodType<Record<string, never>>,
  Q extends z.ZodType = z.ZodType<Record<string, never>>,
  B extends z.ZodType = z.ZodType<undefined>,
>(
  app: App,
  route: Endpoint<P, Q, B>,
  handle: (c: ApiContext, input: Input<P, Q, B>) => Promise<Response> | Response,
): void {
  app.openAPIRegistry.registerPath({
    method: route.method,
    path: route.path,
    summary: route.summary,
    request: {
      ...(route.params ? { params: route.params as unknown as z.ZodObject } : {}),
      ...(route.query ? { query: route.query as unknown as z.ZodObject } : {}),
      ...(route.body
        ? { body: { required: true, content: { "application/json": { schema: route.body } } } }
        : {}),
    },
    responses: route.responses,
  });
  app.on(route.method.toUpperCase(), route.path.replaceAll(/\{([\w-]+)\}/g, ":$1"), async (c) => {
    const params = parameters(route.params, c.req.param(), "path");
    const query = parameters(route.query, c.req.queries(), "query");
    const body = route.body ? parseBody(route.body, await readJson(c.req.raw)) : undefined;
    return await handle(c, { params, query, body } as Input<P, Q, B>);
  });
}

/** Which request this is, for the audit log. */
export function originOf(c: ApiContext): Origin {
  return { requestId: c.get("requestId"), address: c.env?.remoteAddr?.hostname ?? "" };
}

/** A JSON answer. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { ...headers, "content-type": JSON_TYPE },
  });
}

/** For the `responses` of a route: a JSON answer with this schema. */
export function answers(description: string, schema: z.ZodType): RouteConfig["responses"][string] {
  return { description, content: { "application/json": { schema } } };
}

function parameters(schema: z.ZodType | undefined, given: unknown, where: string): unknown {
  if (!schema) return {};
  const odd = Object.entries(given as Record<string, string | string[]>)
    .find(([, value]) => ![value].flat().every(isPlainText));
  if (odd) throw new Problem(400, { error: `${where} parameter invalid`, field: odd[0] });
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const field = String(result.error.issues[0]?.path[0] ?? "");
  throw new Problem(400, { error: `${where} parameter invalid`, field });
}

/**
 * Checks a body. What could not even be read as the expected type comes first, then what is absent,
 * then what is present but unusable: the order in which stock servers notice.
 */
function parseBody<B extends z.ZodType>(schema: B, value: unknown): z.output<B> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => ({
    field: issue.path.map(String).join("."),
    absent: at(value, issue.path) === undefined || at(value, issue.path) === null,
    type: issue.code === "invalid_type" || issue.code === "invalid_union" ||
      (issue.code === "custom" && issue.params?.json === true),
    exact: issue.code === "custom",
    message: issue.message,
  }));
  const wrong = issues.find((issue) => issue.type && !(issue.absent && issue.field !== ""));
  if (wrong) {
    // A bad UUID has the words of stock servers and no more.
    throw jsonInvalid(
      wrong.field && !wrong.exact ? `${wrong.message} (${wrong.field})` : wrong.message,
    );
  }
  const missing = issues.find((issue) => issue.absent && issue.type);
  if (missing) throw fieldMissing(missing.field);
  throw fieldInvalid(issues[0]!.field, issues[0]!.message);
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | null | undefined)?.[key],
    value,
  );
}
