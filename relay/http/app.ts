/**
 * What the relay answers to ordinary HTTP requests: probes, the captive portal check, a page for
 * people, and the operator's pages. Speaks Request and Response only; sockets are elsewhere.
 */
import { type Context, Hono } from "hono";
import type { RelayMetrics } from "./metrics.ts";

/** What the pages need of the relay. */
export interface AppState {
  metrics: RelayMetrics;
  /** Problems found by comparing the relay's tables; empty when all is well. */
  check(): string[];
  version: string;
}

/** What the socket side tells of a request: it cannot be read from the request itself. */
export interface RequestEnv {
  /** The client's IP address. */
  remoteAddress: string;
}

type App = Hono<{ Bindings: RequestEnv }>;

const POLICY = "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'; " +
  "block-all-mixed-content; object-src 'none'";

const BROWSER_HEADERS = {
  "strict-transport-security": "max-age=63072000; includeSubDomains",
  "content-security-policy": POLICY,
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
};

const PLAIN = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };

/** Captive portal challenges: the client's header, ours, and what a challenge may consist of. */
const CHALLENGES = [
  ["x-tailscale-challenge", "x-tailscale-response", /^[A-Za-z0-9.\-_:]{1,64}$/],
  ["x-nexodus-challenge", "x-nexodus-response", /^[A-Za-z0-9.\-_]{1,64}$/],
] as const;

/** Answers a captive portal check: nothing, proven to come from the relay itself. */
function noContent(request: Request): Response {
  const headers = new Headers({
    "cache-control": "no-cache, no-store, must-revalidate, no-transform, max-age=0",
  });
  for (const [asked, answered, allowed] of CHALLENGES) {
    const challenge = request.headers.get(asked) ?? "";
    if (allowed.test(challenge)) headers.set(answered, `response ${challenge}`);
  }
  return new Response(null, { status: 204, headers });
}

function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/i, "");
  return plain === "::1" || /^127\.\d+\.\d+\.\d+$/.test(plain);
}

function mayDebug(c: Context<{ Bindings: RequestEnv }>): boolean {
  return isLoopback(c.env.remoteAddress) && !c.req.header("x-forwarded-for");
}

function refuseDebug(): Response {
  return new Response("debug access denied\n", { status: 403, headers: PLAIN });
}

/** The operator's pages; shared by the TLS listener and the plain companion. */
function addDebug(app: App, state: AppState): void {
  app.use("/debug/*", async (c, next) => {
    if (!mayDebug(c)) return refuseDebug();
    await next();
    for (const [name, value] of Object.entries(BROWSER_HEADERS)) c.res.headers.set(name, value);
    return undefined;
  });
  app.get("/debug/", (c) =>
    c.html(
      page(
        "Relay, operator's pages",
        `<ul><li><a href="/debug/varz">counters</a></li>` +
          `<li><a href="/debug/check">consistency check</a></li></ul>`,
      ),
    ));
  app.get("/debug/varz", async () =>
    new Response(await state.metrics.text(), {
      headers: { "content-type": state.metrics.contentType },
    }));
  app.get("/debug/check", (c) => {
    const problems = state.check();
    if (problems.length === 0) return c.text("derp.Server ConsistencyCheck okay");
    return c.text(problems.join("\n"), 500);
  });
  app.all("/debug/*", (c) => c.text("not found\n", 404));
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head>` +
    `<body><h1>${title}</h1>${body}</body></html>`;
}

/** The pages behind the relay's own listener. */
export function relayApp(state: AppState): App {
  const app: App = new Hono<{ Bindings: RequestEnv }>();
  // Doubled slashes are one; clients are sent to the clean path as Go's server does.
  app.use(async (c, next) => {
    const url = new URL(c.req.url);
    const clean = url.pathname.replace(/\/{2,}/g, "/");
    if (clean !== url.pathname) return c.redirect(clean + url.search, 307);
    await next();
    return undefined;
  });
  app.all(
    "/derp",
    () => new Response("DERP requires connection upgrade\n", { status: 426, headers: PLAIN }),
  );
  for (const path of ["/derp/probe", "/derp/latency-check"]) {
    app.all(path, (c) => {
      if (c.req.method === "GET" || c.req.method === "HEAD") {
        return new Response(null, { headers: { "access-control-allow-origin": "*" } });
      }
      return new Response("bogus probe method\n", { status: 405, headers: PLAIN });
    });
  }
  app.all("/generate_204", (c) => noContent(c.req.raw));
  app.all("/robots.txt", () =>
    new Response("User-agent: *\nDisallow: /\n", {
      headers: { ...BROWSER_HEADERS, "content-type": "text/plain; charset=utf-8" },
    }));
  app.all("/debug", (c) => c.redirect("/debug/", 307));
  addDebug(app, state);
  app.all("*", (c) => {
    const more = mayDebug(c) ? `<p><a href="/debug/">Operator's pages</a></p>` : "";
    const text =
      `<p>This is a DERP relay of nexd. It carries packets between hosts that cannot reach each ` +
      `other. The packets are encrypted end to end; it cannot read them.</p>${more}`;
    return c.html(page("Relay", text), 200, BROWSER_HEADERS);
  });
  return app;
}

/** The pages of the plain companion on port 80: the captive portal check, else over to HTTPS. */
export function companionApp(state: AppState): App {
  const app: App = new Hono<{ Bindings: RequestEnv }>();
  app.all("/generate_204", (c) => noContent(c.req.raw));
  app.all("/debug", (c) => c.redirect("/debug/", 307));
  addDebug(app, state);
  app.all("*", (c) => {
    if (c.req.method !== "GET" && c.req.method !== "HEAD") {
      return new Response("Use HTTPS\n", { status: 400, headers: PLAIN });
    }
    const url = new URL(c.req.url);
    const path = url.pathname === "/" && mayDebug(c) ? "/debug/" : url.pathname;
    const host = c.req.header("host") ?? url.host;
    return c.redirect(`https://${host}${path}${url.search}`, 302);
  });
  return app;
}
