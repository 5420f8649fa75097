/**
 * The API: an application that turns requests into answers, with no socket of its own.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { authenticate, type Refusal, verdict } from "../auth/mod.ts";
import { dashboardRoutes } from "../dashboard/mod.ts";
import { type App, type Env, noRoute, originOf, Problem, unavailableFor } from "../http/mod.ts";
import { unavailable } from "../store/mod.ts";
import type { ApiDeps } from "./context.ts";
import { deviceMetadataRoutes } from "./routes/device_metadata.ts";
import { deviceRoutes } from "./routes/devices.ts";
import { eventRoutes } from "./routes/events.ts";
import { featureRoutes } from "./routes/features.ts";
import { allowOrigins, limitAddresses } from "./guards.ts";
import { metricsRoutes } from "./routes/metrics.ts";
import { healthRoutes } from "./routes/health.ts";
import { openApiRoutes } from "./openapi/mod.ts";
import {
  accountRoutes,
  auditRoutes,
  invitationRoutes,
  organizationRoutes,
  userRoutes,
} from "./routes/people/mod.ts";
import { pathRoutes } from "./routes/paths.ts";
import { regKeyRoutes } from "./routes/reg_keys.ts";
import { relayRegionRoutes } from "./routes/relay_regions.ts";
import { securityGroupRoutes } from "./routes/security_groups.ts";
import { serviceNetworkRoutes } from "./routes/service_networks.ts";
import { vpcRoutes } from "./routes/vpcs.ts";

export type { ApiDeps } from "./context.ts";
export { type RateOptions, Rates } from "./guards.ts";

const log = getLogger(["nexd", "control", "api"]);

/** On every answer that says nothing else: what is no page is nothing for a browser. */
const HEADERS: readonly (readonly [string, string])[] = [
  ["cache-control", "no-cache, no-store, max-age=0, must-revalidate"],
  ["x-content-type-options", "nosniff"],
  ["content-security-policy", "default-src 'none'; frame-ancestors 'none'"],
  ["referrer-policy", "no-referrer"],
];

/** Paths whose refusals are held back. */
const STREAM_PATH = /^\/api\/(events|vpcs?\/[^/]+\/events)$/;

/** Makes the application. Bindings of a request: `remoteAddr`, where the server knows it. */
export function createApp(deps: ApiDeps): App {
  // Whichever control plane of the database has changed it, the streams are here.
  deps.store.onChange((heard) => {
    if (heard === "everything") void endStale(deps);
    else if (heard.kind === "callers") deps.streams.finish(heard.vpcId);
  });
  const app = new OpenAPIHono<Env>();
  app.use(requests(deps));
  app.use(async (c, next) => {
    if (c.req.method === "HEAD") throw noRoute();
    await next();
  });
  app.use(allowOrigins(deps.origins ?? []));
  app.use(heldBack(deps));
  app.use(limitAddresses(deps.rates));
  app.use("/api/*", authorized(deps));
  deps.issuer?.routes(app);
  dashboardRoutes(app);
  userRoutes(app, deps);
  accountRoutes(app, deps);
  organizationRoutes(app, deps);
  invitationRoutes(app, deps);
  regKeyRoutes(app, deps);
  vpcRoutes(app, deps);
  deviceRoutes(app, deps);
  deviceMetadataRoutes(app, deps);
  pathRoutes(app, deps);
  securityGroupRoutes(app, deps);
  serviceNetworkRoutes(app, deps);
  featureRoutes(app);
  relayRegionRoutes(app, deps);
  auditRoutes(app, deps);
  eventRoutes(app, deps);
  healthRoutes(app, deps);
  metricsRoutes(app, deps);
  openApiRoutes(app);
  app.notFound(() => noRoute().toResponse());
  app.onError((error, c) => {
    const trace_id = c.get("requestId");
    const asked = { accept: c.req.header("accept"), id: trace_id };
    if (error instanceof Problem) return error.toResponse(asked);
    const reason = unavailable(error);
    if (reason !== undefined) {
      log.warn("{method} {path} refused: {reason} ({error})", {
        method: c.req.method,
        path: c.req.path,
        reason,
        error: error.message,
      });
      return unavailableFor(reason).toResponse(asked);
    }
    log.error("{method} {path} failed ({id}): {error}", {
      method: c.req.method,
      path: c.req.path,
      id: trace_id,
      error,
    });
    return new Problem(500, { error: "internal server error", trace_id }).toResponse();
  });
  return app;
}

/** Callers that are looked up at a time. */
const LOOK_UP = 500;
/** How often that is tried again, and how long after the last time, ms. */
const RETRIES = 3, RETRY_MS = 500;

/**
 * Ends the streams of callers that may have been taken away unheard: of devices that are gone, and of
 * users, who are few, and begin anew.
 */
async function endStale(deps: ApiDeps, retries = RETRIES): Promise<void> {
  const { store, streams } = deps;
  const callers = streams.callers();
  try {
    while (callers.length > 0) {
      const some = callers.splice(0, LOOK_UP);
      const rows = await store.db.selectFrom("devices").select("id").where("id", "in", some)
        .where("deleted_at", "is", null).execute();
      const alive = new Set(rows.map(({ id }) => id));
      for (const id of some) if (!alive.has(id)) streams.finish(id);
    }
  } catch (error) {
    if (retries > 0) {
      // What told that changes were missed may be back before the rest of the database is.
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      return await endStale(deps, retries - 1);
    }
    log.warn("cannot tell whose event streams have to end, so all do: {error}", { error });
    streams.abortAll();
  }
}

/** Gives each request an id, sets the common headers and writes one log line. */
const requests = ({ metrics }: ApiDeps): MiddlewareHandler<Env> => async (c, next) => {
  const id = crypto.randomUUID();
  const start = performance.now();
  c.set("requestId", id);
  await next();
  for (const [name, value] of HEADERS) {
    if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  }
  c.res.headers.set("x-request-id", id);
  const ms = performance.now() - start;
  metrics?.answered(c.req.path, c.res.status, ms);
  log.debug("{method} {path} {status} {ms} ms ({id})", {
    method: c.req.method,
    path: c.req.path,
    status: c.res.status,
    ms: Math.round(ms),
    id,
  });
};

/** Holds back every refusal of a watch stream. */
function heldBack(deps: ApiDeps): MiddlewareHandler<Env> {
  return async (c, next) => {
    await next();
    if (c.res.status === 200 || c.req.method !== "POST" || !STREAM_PATH.test(c.req.path)) return;
    await deps.holder.hold(c.env?.remoteAddr?.hostname ?? "");
  };
}

/** Finds the caller and checks that it may send this method to this path. */
function authorized(deps: ApiDeps): MiddlewareHandler<Env> {
  return async (c, next) => {
    const from = originOf(c);
    const principal = await authenticate(c.req.header("authorization"), {
      store: deps.store,
      users: deps.users ?? deps.issuer?.users,
      from,
    });
    if ("refused" in principal) throw unauthorized(principal);
    // The path as it was sent: one that only decodes to a known path is not let through.
    const { kind } = principal;
    const scopes = kind === "user" ? principal.scopes : undefined;
    const scope = verdict(kind, c.req.method, new URL(c.req.url).pathname, scopes);
    if (scope === "refuse") throw new Problem(403);
    if (scope === "unknown") throw noRoute();
    deps.rates?.countCaller(principal);
    c.set("principal", { ...principal, from });
    await next();
  };
}

const REFUSALS: Partial<Record<Refusal["refused"], string>> = {
  "reg-key": "invalid reg key",
  "device-token": "invalid device token",
  "site-token": "invalid site token",
};

function unauthorized({ refused, reason }: Refusal): Problem {
  if (refused === "missing") return new Problem(401, "Jwt is missing");
  if (refused === "invalid-token") {
    // Agents forget a stored user token, and sign in again, when they read this header.
    return new Problem(401, undefined, { "www-authenticate": 'Bearer error="invalid_token"' });
  }
  const error = REFUSALS[refused];
  return error ? new Problem(401, { error, ...(reason ? { reason } : {}) }) : new Problem(401);
}
