import { z } from "@hono/zod-openapi";
import { cleanUp } from "../../cleanup/mod.ts";
import { answers, type App, endpoint, isThisHost, json, noRoute, Problem } from "../../http/mod.ts";
import type { ApiDeps } from "../context.ts";
import { errorSchema } from "../schemas.ts";

const statusSchema = z.object({ status: z.enum(["UP", "DOWN"]) });
/** Milliseconds of each unit of a Go duration. */
const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Probes for supervisors and load balancers, which need no credentials, and the operator's cleaning. */
export function healthRoutes(app: App, deps: ApiDeps): void {
  endpoint(app, {
    method: "get",
    path: "/private/live",
    summary: "Whether the process answers",
    responses: { 200: answers("It does", statusSchema) },
  }, () => json({ status: "UP" }));

  endpoint(app, {
    method: "get",
    path: "/private/ready",
    summary: "Whether the process can serve requests",
    responses: {
      200: answers("It can", statusSchema),
      503: answers("The database does not answer", statusSchema),
    },
  }, async () => await deps.store.ready() ? json({ status: "UP" }) : json({ status: "DOWN" }, 503));

  endpoint(app, {
    method: "get",
    path: "/private/gc",
    summary: "Removes for good what was deleted; answered to this host alone",
    query: z.object({ retention: z.array(z.string()).optional() }),
    responses: {
      204: { description: "Done" },
      400: answers("`retention` is no duration like `24h`", errorSchema),
      404: { description: "The caller is another host" },
    },
  }, async (c, { query }) => {
    if (!isThisHost(c)) throw noRoute();
    const retention = duration(query.retention?.[0] ?? "24h");
    if (retention === undefined) {
      throw new Problem(400, { error: "query parameter invalid", field: "retention" });
    }
    await cleanUp(deps.store, new Date(Date.now() - retention));
    return new Response(null, { status: 204 });
  });
}

/** A Go duration like `1h30m` in ms; undefined: none, or one of years. */
function duration(text: string): number | undefined {
  if (!/^(\d{1,9}(h|ms|m|s))+$/.test(text)) return text === "0" ? 0 : undefined;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(h|ms|m|s)/g)) {
    sum += Number(count) * UNITS[unit!]!;
  }
  return sum <= 100 * 365 * 24 * 3_600_000 ? sum : undefined;
}
