/** Requests by class of path and status: few series, whatever is asked for. */

/** First segments below `/api/` that are a class each. */
const RESOURCES: ReadonlySet<string> = new Set([
  ...["accounts", "audit", "devices", "events", "fflags", "invitations", "organizations"],
  ...["reg-keys", "relay-regions", "security-groups", "service-networks", "users", "vpcs"],
]);
/** First segments elsewhere. */
const PLACES: ReadonlySet<string> = new Set([
  ...["oauth", "web", "device", "ui", "private", "derpmap", "openapi", "invitation"],
]);
/** Statuses that are told by themselves; of others the class is told. */
const STATUSES: ReadonlySet<number> = new Set([
  ...[200, 201, 204, 302, 304, 400, 401, 403, 404, 405, 409, 413, 429, 500, 502, 503],
]);

/** The class of a path, which is one of a fixed few. */
export function routeOf(path: string): string {
  const [, first = "", second = "", , fourth] = path.split("/");
  if (first === "api") {
    // Streams of the older path are like those of the newer one.
    if (fourth === "events" && (second === "vpc" || second === "vpcs")) return "events";
    return RESOURCES.has(second) ? second : "other";
  }
  return PLACES.has(first) ? first : "other";
}

/** A status as a label. */
export function statusOf(status: number): string {
  return STATUSES.has(status) ? String(status) : `${Math.min(Math.floor(status / 100), 9)}xx`;
}
