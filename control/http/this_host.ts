import type { ApiContext } from "./endpoint.ts";

/** Whether a request comes from this very host, and not through a proxy on it. */
export function isThisHost(c: ApiContext): boolean {
  const { hostname = "" } = c.env?.remoteAddr ?? {};
  const passed = ["forwarded", "x-forwarded-for", "via"].some((name) => c.req.header(name));
  return !passed && (hostname === "::1" || /^127\./.test(hostname));
}
