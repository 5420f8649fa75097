import { type App, isThisHost, noRoute } from "../../http/mod.ts";
import { TEXT_TYPE } from "../../metrics/mod.ts";
import type { ApiDeps } from "../context.ts";

/** `GET /private/metrics`: Prometheus' text, to programs on this very host; a 404 to all others. */
export function metricsRoutes(app: App, { metrics, store, streams }: ApiDeps): void {
  if (metrics === undefined) return;
  app.get("/private/metrics", async (c) => {
    if (!isThisHost(c)) throw noRoute();
    const text = await metrics.text({ store, streams: () => streams.size });
    return new Response(text, { headers: { "content-type": TEXT_TYPE } });
  });
}
