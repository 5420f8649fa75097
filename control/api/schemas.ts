/** Schemas that more than one resource uses. Every length and count is bounded here. */
import { z } from "@hono/zod-openapi";
import { listQuery } from "../http/mod.ts";
import { isEndpointAddress } from "../devices/mod.ts";

/** A UUID in a body; a bad one is a JSON error, as for servers that decode into a UUID type. */
export const uuid = uuidText(false);

/** A UUID in a body that stock tools send as `""` where they mean none; `""` stays. */
export const optionalId = uuidText(true);

function uuidText(emptyToo: boolean) {
  return z.string().superRefine((text, context) => {
    if (isUuid(text) || (emptyToo && text === "")) return;
    const message = text.length === 36
      ? "invalid UUID format"
      : `invalid UUID length: ${text.length}`;
    context.addIssue({ code: "custom", message, params: { json: true } });
  }).transform((text) => text.toLowerCase()).openapi(
    emptyToo
      ? { type: ["string", "null"], maxLength: 36, description: "A UUID, or empty for none" }
      : { type: ["string", "null"], format: "uuid" },
  );
}

/** \P{Cc}, as programs that make requests of the description can read it as well. */
// deno-lint-ignore no-control-regex -- it is about these
const NO_CONTROLS = /^[^\x00-\x1f\x7f-\x9f]*$/;

/** A line of text, at most `max` characters: people read it in terminals, so nothing that controls one. */
export function text(max: number): z.ZodType<string> {
  return z.string().max(max).regex(NO_CONTROLS, "holds control characters");
}

/** A UUID in a path. */
export const pathId = z.string().refine(isUuid).transform((text) => text.toLowerCase())
  .openapi({ type: "string", format: "uuid" });

/** Parameters of a path with one id. */
export const idParams = z.object({ id: pathId });

/** Longest metadata key, in characters. */
export const MAX_KEY = 128;

/** `prefix` of metadata lists: any of them matches. */
export const metadataQuery = listQuery.extend({
  prefix: z.array(z.string().max(MAX_KEY)).max(16).optional(),
  key: z.array(z.string().max(MAX_KEY)).max(1).optional(),
});

export const endpointSchema = z.object({
  source: text(128),
  address: z.string().max(128).refine(isEndpointAddress, "is not an ip:port"),
});

export const tunnelIp = z.object({ address: z.string(), cidr: z.string() });

export const deviceSchema = z.object({
  id: z.string(),
  owner_id: z.string(),
  vpc_id: z.string(),
  public_key: z.string(),
  allowed_ips: z.array(z.string()),
  ipv4_tunnel_ips: z.array(tunnelIp),
  ipv6_tunnel_ips: z.array(tunnelIp),
  advertise_cidrs: z.array(z.string()).nullable(),
  relay: z.boolean(),
  symmetric_nat: z.boolean(),
  hostname: z.string(),
  os: z.string(),
  endpoints: z.array(endpointSchema).nullable(),
  revision: z.number().int(),
  security_group_id: z.string(),
  online: z.boolean(),
  online_at: z.string().nullable(),
  bearer_token: z.string().optional(),
}).openapi("Device");

export const metadataSchema = z.object({
  device_id: z.string(),
  key: z.string(),
  value: z.record(z.string(), z.unknown()),
  revision: z.number().int(),
}).openapi("DeviceMetadata");

export const userSchema = z.object({
  id: z.string(),
  full_name: z.string(),
  picture: z.string(),
  username: z.string(),
}).openapi("User");

export const organizationSchema = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
}).openapi("Organization");

export const errorSchema = z.object({
  error: z.string(),
  id: z.string().optional(),
  field: z.string().optional(),
  reason: z.string().optional(),
  resource: z.string().optional(),
  trace_id: z.string().optional(),
}).openapi("Error", {
  description: "With 408, 413, 415, 429 and 503 it has the members of RFC 9457 as well",
});

/** Whether text is a UUID in its usual form of 36 characters. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}
