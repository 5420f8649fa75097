/**
 * The operator's pages below `/debug/`.
 *
 * @module
 */
import type { Hono } from "hono";
import { DEBUG_HEADERS, plain, sized, textPage } from "../answers.ts";
import { type AppState, type RequestEnv, SharedSnapshot } from "../state.ts";
import { certificate } from "./certificate.ts";
import { clients } from "./clients.ts";
import { links } from "./links.ts";
import { overview } from "./overview.ts";
import { Throughput, throughputPage, trafficStream } from "./traffic.ts";
import { workers } from "./workers.ts";

export { TRAFFIC_TIMES } from "./traffic.ts";

/** A page's snapshot may be this old, so that an impatient operator costs no more than a calm one. */
const MAX_AGE_MS = 500;

/** Serves the operator's pages, to those whom the rule allows. */
export function addDebug(app: Hono<{ Bindings: RequestEnv }>, state: AppState): void {
  const shared = new SharedSnapshot(() => state.snapshot(), MAX_AGE_MS);
  const throughput = new Throughput(() => state.snapshot());
  app.use("/debug/*", async (c, next) => {
    if (!state.debug.allows(c.req.raw, c.env.remoteAddress)) {
      return plain(403, "debug access denied\n");
    }
    await next();
    return undefined;
  });
  app.all("/debug/", async (c) => overview(c, state, await shared.get()));
  app.all("/debug/clients", async (c) => clients(c, state, await shared.get()));
  app.all("/debug/mesh", async (c) => links(c, state, await shared.get()));
  app.all("/debug/workers", async (c) => workers(c, state, await shared.get()));
  app.all("/debug/certificate", async (c) => {
    // What is known of the certificate comes with the snapshot.
    await shared.get();
    return certificate(c, state);
  });
  app.all("/debug/throughput", async (c) => throughputPage(c, state, await throughput.look()));
  const traffic = trafficStream(() => state.snapshot());
  app.all("/debug/traffic", () => traffic());
  for (const path of ["/debug/metrics", "/debug/varz"]) {
    app.all(path, async () =>
      sized(await state.metrics.text(), {
        ...DEBUG_HEADERS,
        "content-type": state.metrics.contentType,
      }));
  }
  app.all("/debug/vars", async () =>
    sized(await state.metrics.json(), {
      ...DEBUG_HEADERS,
      "content-type": "application/json; charset=utf-8",
    }));
  app.all("/debug/check", async () => {
    const problems = await state.check();
    if (problems.length === 0) return textPage("derp.Server ConsistencyCheck okay", DEBUG_HEADERS);
    return textPage(problems.join("\n") + "\n", DEBUG_HEADERS, 500);
  });
  app.all("/debug/*", () => plain(404, "404 page not found\n"));
}
