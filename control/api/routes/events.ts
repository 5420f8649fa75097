import { deviceToken, mayHaveToken, type Principal, sealToken } from "../../auth/mod.ts";
import { type Decorate, EventStream } from "../../events/mod.ts";
import { answers, type ApiContext, type App, endpoint, Problem } from "../../http/mod.ts";
import type { ApiDeps } from "../context.ts";
import { errorSchema, idParams } from "../schemas.ts";
import type { Device } from "../types.ts";
import { watchesSchema, watchRequests } from "./watch_requests.ts";
import { visibleVpc } from "./vpcs.ts";

const responses = {
  200: {
    description:
      "Events, each a JSON object and an empty line, for as long as the client listens; " +
      "a newline alone means nothing",
    content: { "application/json;stream=watch": {} },
  },
  400: answers("An unknown kind, or an option that is missing or unusable", errorSchema),
  404: answers("No such VPC or device for this caller", errorSchema),
};

/** Watch streams. */
export function eventRoutes(app: App, deps: ApiDeps): void {
  endpoint(app, {
    method: "post",
    path: "/api/events",
    summary: "Watches resources: first what there is, then what changes",
    body: watchesSchema,
    responses,
  }, async (c, { body }) => {
    return await stream(c, deps, await watchRequests(deps.store.db, c.get("principal"), body));
  });

  // The second path is how the Go client library spells it.
  for (const path of ["/api/vpcs/{id}/events", "/api/vpc/{id}/events"]) {
    endpoint(app, {
      method: "post",
      path,
      summary: "Watches resources of one VPC (older form)",
      params: idParams,
      body: watchesSchema,
      responses,
    }, async (c, { params, body }) => {
      const principal = c.get("principal");
      await visibleVpc(deps.store.db, principal, params.id);
      const requests = await watchRequests(deps.store.db, principal, body, params.id);
      return await stream(c, deps, requests);
    });
  }
}

async function stream(
  c: ApiContext,
  deps: ApiDeps,
  requests: Awaited<ReturnType<typeof watchRequests>>,
): Promise<Response> {
  const principal = c.get("principal");
  if (deps.streams.full) throw new Problem(503, { error: "too many event streams" });
  const deviceId = principal.kind === "device" ? principal.device.id : undefined;
  const open = () =>
    new EventStream(requests, {
      feed: deps.feed,
      decorate: decorateFor(deps, principal),
      times: deps.streamTimes,
    });
  const events = await deps.streams.open(deviceId ?? principal.ownerId, deviceId, open);
  return new Response(events.body(), {
    headers: { "content-type": "application/json;stream=watch" },
  });
}

/** Rows are read once for all callers, so a token is added here, and only to the caller's own row. */
function decorateFor(deps: ApiDeps, principal: Principal): Decorate {
  if (principal.kind !== "device" || !mayHaveToken(principal, principal.device)) return asItIs;
  const { id, token_generation } = principal.device;
  return withToken(deps.secret, id, token_generation);
}

const asItIs: Decorate = (_topic, entry) => entry.value;

/** What it returns is kept for as long as the stream, so that it holds on to no more than it needs. */
function withToken(secret: Uint8Array, id: string, generation: number): Decorate {
  return (topic, entry) => {
    if (topic.kind !== "device" || entry.id !== id || entry.deleted) return entry.value;
    const device = entry.value as Device;
    const token = deviceToken(secret, id, generation);
    return { ...device, bearer_token: sealToken(token, device.public_key) };
  };
}
