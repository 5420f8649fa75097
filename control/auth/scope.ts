import type { Principal } from "./principal.ts";

/** `unknown`: no rule names this path, so the router answers that it does not exist. */
export type Verdict = "allow" | "refuse" | "unknown";

/**
 * First path segments below `/api` that the API has, whether this server serves them or not, and the
 * resource that a user's token must have the scope `read:` or `write:` of; null where any token will do.
 */
const RESOURCES: ReadonlyMap<string, string | null> = new Map([
  ["organizations", "organizations"],
  ["vpcs", "organizations"],
  ["service-networks", "organizations"],
  // How the Go programs spell them in one place each.
  ["ServiceNetworks", "organizations"],
  ["vpc", "organizations"],
  ["invitations", "organizations"],
  ["security-groups", "organizations"],
  ["reg-keys", "organizations"],
  ["devices", "devices"],
  ["sites", "devices"],
  ["users", "users"],
  ["accounts", "users"],
  ["relay-regions", "organizations"],
  ["audit", "organizations"],
  ["fflags", null],
  ["events", null],
  ["ca", null],
]);

/** What every agent may do. `*` stands for exactly one path segment. */
const SHARED = [
  "GET organizations",
  "GET organizations/*",
  "GET organizations/*/users",
  "GET organizations/*/users/*",
  "GET vpcs",
  "GET vpcs/*",
  "GET vpcs/*/devices",
  "GET vpcs/*/metadata",
  "GET vpcs/*/security-groups",
  "GET relay-regions",
  "GET relay-regions/*",
  "GET service-networks",
  "GET service-networks/*",
  "GET service-networks/*/sites",
  "GET devices",
  "GET devices/*",
  "GET devices/*/metadata",
  "GET devices/*/metadata/*",
  "PATCH devices/*",
  "GET sites",
  "GET sites/*",
  "PATCH sites/*",
];

const RULES: Record<Exclude<Principal["kind"], "user">, readonly string[]> = {
  "reg-key": [
    ...SHARED,
    "GET reg-keys/me",
    "POST devices",
    "PUT devices/*/metadata/*",
    "POST sites",
  ],
  // A device may take itself away: the handler sees to it that it is itself.
  device: [
    ...SHARED,
    "DELETE devices/*",
    "PUT devices/*/paths",
    "POST vpcs/*/events",
    "POST vpc/*/events",
    "POST events",
    "POST ca/sign",
  ],
};

const COMPILED = Object.fromEntries(
  Object.entries(RULES).map(([kind, rules]) => [
    kind,
    rules.map((rule) => {
      const [method, path] = rule.split(" ");
      return { method, segments: path!.split("/") };
    }),
  ]),
);

/**
 * Whether a caller of this kind may send `method` to `path` (undecoded, from `/`). Paths are compared
 * segment by segment and whole, and so are scopes; nothing is matched as part of a longer text.
 *
 * @param scopes of a user's token, where it is limited
 */
export function verdict(
  kind: Principal["kind"],
  method: string,
  path: string,
  scopes?: readonly string[],
): Verdict {
  const [empty, api, ...segments] = path.split("/");
  const resource = RESOURCES.get(segments[0] ?? "");
  if (empty !== "" || api !== "api" || resource === undefined) return "unknown";
  if (kind === "user") {
    if (scopes === undefined || resource === null) return "allow";
    return scopes.includes(`${method === "GET" ? "read" : "write"}:${resource}`)
      ? "allow"
      : "refuse";
  }
  const fits = COMPILED[kind]!.some((rule) =>
    rule.method === method && rule.segments.length === segments.length &&
    rule.segments.every((part, i) => part === "*" ? segments[i] !== "" : part === segments[i])
  );
  return fits ? "allow" : "refuse";
}
