import type { Principal } from "./principal.ts";

/** `unknown`: no rule names this path, so the router answers that it does not exist. */
export type Verdict = "allow" | "refuse" | "unknown";

/** First path segments below `/api` that the API has, whether this server serves them or not. */
const RESOURCES = new Set([
  "organizations",
  "vpcs",
  "service-networks",
  "invitations",
  "security-groups",
  "reg-keys",
  "devices",
  "sites",
  "users",
  "fflags",
  "events",
  "ca",
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
  device: [...SHARED, "POST vpcs/*/events", "POST events", "POST ca/sign"],
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
 * segment by segment and whole; nothing is matched as part of a longer text.
 */
export function verdict(kind: Principal["kind"], method: string, path: string): Verdict {
  const [empty, api, ...segments] = path.split("/");
  if (empty !== "" || api !== "api" || !RESOURCES.has(segments[0] ?? "")) return "unknown";
  if (kind === "user") return "allow";
  const fits = COMPILED[kind]!.some((rule) =>
    rule.method === method && rule.segments.length === segments.length &&
    rule.segments.every((part, i) => part === "*" ? segments[i] !== "" : part === segments[i])
  );
  return fits ? "allow" : "refuse";
}
