/**
 * The dashboard: pages for a browser that show and change what the API has. The server side is static
 * files under `/ui/`, the same for everybody; all data comes from the API with the user's own token.
 *
 * @module
 */
import type { App } from "../http/mod.ts";
import { ASSETS, POLICY } from "./assets.ts";

/** Where the dashboard is. */
export const DASHBOARD_PATH = "/ui/";

/** Names before the control plane's own that are for programs: no redirect there. */
const FOR_PROGRAMS = /^(api|auth)\./i;

/** Adds the dashboard's files, and a redirect to them from `/` of the control plane's own name. */
export function dashboardRoutes(app: App): void {
  for (const { name, type, body, immutable } of ASSETS) {
    app.get(`${DASHBOARD_PATH}${name}`, () =>
      new Response(body, {
        headers: {
          "content-type": type,
          "content-security-policy": POLICY,
          "cross-origin-opener-policy": "same-origin",
          "cross-origin-resource-policy": "same-origin",
          "permissions-policy":
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)",
          // A name with a hash never means other bytes; the page itself names the newest ones.
          "cache-control": immutable ? "public, max-age=31536000, immutable" : "no-cache",
        },
      }));
  }
  const there = () => new Response(null, { status: 302, headers: { location: DASHBOARD_PATH } });
  app.get("/ui", there);
  app.get("/", async (c, next) => {
    if (FOR_PROGRAMS.test(new URL(c.req.url).hostname)) return await next();
    return there();
  });
}
