/**
 * What the relay answers to ordinary HTTP requests: probes, the captive portal check, a page for
 * people, and the operator's pages. Speaks Request and Response only; sockets are elsewhere.
 */
import { getLogger } from "@logtape/logtape";
import { Hono } from "hono";
import { BootstrapDns } from "./dns/mod.ts";
import {
  addDebug,
  type AppState,
  BROWSER_HEADERS,
  debugKey,
  homePage,
  htmlPage,
  ICON,
  parseHome,
  plain,
  redirect,
  type RequestEnv,
  routePath,
  SharedSnapshot,
  sized,
  STYLE,
  target,
  textPage,
} from "./pages/mod.ts";

export type { AppState, RequestEnv } from "./pages/mod.ts";

type App = Hono<{ Bindings: RequestEnv }>;

const logger = getLogger(["nexd", "relay"]);

/** The page at `/` is asked for by strangers: however many, the workers are asked this often. */
const HOME_MAX_AGE_MS = 2_000;

/** How long a browser keeps the style sheet and the icon. */
const KEEP = "public, max-age=3600";

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

/** An application that compares whole, decoded paths. */
function newApp(): App {
  const app: App = new Hono<{ Bindings: RequestEnv }>({
    getPath: (request) => routePath(request.url),
  });
  app.onError((error) => {
    logger.error("Cannot answer a request: {error}", { error: String(error) });
    return plain(500, "internal error\n");
  });
  return app;
}

/** The address of the operator's pages, with the key that the request brought. */
function debugIndex(request: Request): string {
  const key = debugKey(request);
  return key === "" ? "/debug/" : `/debug/?${new URLSearchParams({ debugkey: key })}`;
}

/**
 * The pages behind the relay's own listener.
 *
 * @throws RelayError (exit code 2) when `state.home` is nothing that a home can be
 */
export function relayApp(state: AppState): App {
  const app = newApp();
  const bootstrapDns = state.bootstrapDns ??
    BootstrapDns.start({ published: [], unpublished: [] });
  // An upgrade to DERP never comes here.
  app.all(
    "/derp",
    () =>
      state.derp
        ? plain(426, "DERP requires connection upgrade\n")
        : plain(404, "derp server disabled\n"),
  );
  for (const path of ["/derp/probe", "/derp/latency-check"]) {
    app.all(path, (c) => {
      if (c.req.method !== "GET" && c.req.method !== "HEAD") {
        return plain(405, "bogus probe method\n");
      }
      return sized("", { "access-control-allow-origin": "*" });
    });
  }
  app.all("/generate_204", (c) => noContent(c.req.raw));
  app.all("/robots.txt", () => textPage("User-agent: *\nDisallow: /\n"));
  app.all(
    "/bootstrap-dns",
    (c) => bootstrapDns.answer(c.req.query("q"), c.env.remoteAddress),
  );
  app.all("/debug", (c) => redirect(c.req.raw, 307, "/debug/" + target(c.req.url).query));
  addDebug(app, state);
  addHome(app, state);
  return app;
}

/** `/` and everything that is nothing else. */
function addHome(app: App, state: AppState): void {
  const home = parseHome(state.home);
  if ("url" in home) {
    app.all("*", (c) => redirect(c.req.raw, 302, home.url, BROWSER_HEADERS));
    return;
  }
  if ("blank" in home) {
    app.all("*", () => htmlPage(""));
    return;
  }
  const file = (text: string, type: string) => () =>
    sized(text, { ...BROWSER_HEADERS, "content-type": type, "cache-control": KEEP });
  app.get("/style.css", file(STYLE, "text/css; charset=utf-8"));
  app.get("/icon.svg", file(ICON, "image/svg+xml"));
  const shared = new SharedSnapshot(() => state.snapshot(), HOME_MAX_AGE_MS);
  app.all("*", async (c) => {
    const request = c.req.raw;
    const snapshot = await shared.get().catch(() => undefined);
    const port = /:(\d{1,5})$/.exec(c.req.header("host") ?? "")?.[1];
    const allowed = state.debug.allows(request, c.env.remoteAddress);
    return htmlPage(homePage({
      state,
      snapshot,
      debug: allowed ? debugIndex(request) : undefined,
      port: port === "443" ? undefined : port,
    }));
  });
}

/** What an ACME server may ask for (RFC 8555 section 8.3): base64url. */
const TOKEN = /^\/\.well-known\/acme-challenge\/([A-Za-z0-9_-]{1,256})$/;

/**
 * The pages of the plain companion on port 80: the captive portal check, answers to ACME
 * challenges, the operator's pages; else over to HTTPS.
 */
export function companionApp(state: AppState): App {
  const app = newApp();
  app.all("/generate_204", (c) => noContent(c.req.raw));
  app.get("/.well-known/acme-challenge/*", async (c, next) => {
    if (state.challenge === undefined) return await next();
    const token = TOKEN.exec(c.req.path)?.[1];
    const answer = token === undefined ? undefined : state.challenge(token);
    return answer === undefined
      ? plain(404, "404 page not found\n")
      : sized(answer, { "content-type": "application/octet-stream" });
  });
  app.all("/debug", (c) => redirect(c.req.raw, 307, "/debug/" + target(c.req.url).query));
  addDebug(app, state);
  app.all("*", (c) => {
    const request = c.req.raw;
    if (request.method !== "GET" && request.method !== "HEAD") return plain(400, "Use HTTPS\n");
    const { path, query } = target(request.url);
    const toDebug = path === "/" && state.debug.allows(request, c.env.remoteAddress);
    const host = c.req.header("host") ?? state.hostname;
    return redirect(request, 302, `https://${host}${toDebug ? "/debug/" : path}${query}`);
  });
  return app;
}
