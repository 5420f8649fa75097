import { z } from "@hono/zod-openapi";
import type { Principal } from "../../auth/mod.ts";
import type { Topic, WatchRequest } from "../../events/mod.ts";
import { fieldInvalid, notFound, Problem } from "../../http/mod.ts";
import { findDevice, type Reader, type VpcRow } from "../../store/mod.ts";
import { auditTopic } from "./people/mod.ts";
import { isUuid, MAX_KEY } from "../schemas.ts";
import type { WatchKind } from "../types.ts";
import { visibleVpc } from "./vpcs.ts";

const KINDS = [
  "device",
  "security-group",
  "device-metadata",
  "vpc",
  "relay-region",
  "audit-log",
  "paths",
] as const;

/** Body of a watch request. Kinds and options are checked by {@linkcode watchRequests}. */
export const watchesSchema = z.array(
  z.object({
    kind: z.string().max(64).nullish(),
    gt_revision: z.number().int().min(0).nullish(),
    at_tail: z.boolean().nullish(),
    options: z.record(z.string(), z.unknown()).nullish(),
  }),
).max(16).openapi("Watches");

type Body = z.output<typeof watchesSchema>;

/**
 * Checks what a client wants to watch, and that it may. `vpcId` is the VPC of the older path, where
 * the path names it and the metadata option is called `prefixes`.
 */
export async function watchRequests(
  db: Reader,
  principal: Principal,
  body: Body,
  vpcId?: string,
): Promise<WatchRequest[]> {
  const requests: WatchRequest[] = [];
  const vpcs = new Map<string, Promise<VpcRow>>();
  const visible = (id: string) => {
    const vpc = vpcs.get(id) ?? visibleVpc(db, principal, id);
    vpcs.set(id, vpc);
    return vpc;
  };
  for (const [i, watch] of body.entries()) {
    const kind = KINDS.find((known) => known === watch.kind);
    if (!kind) throw fieldInvalid(`request[${i}].kind`);
    // As they read them: users alone.
    if (kind === "paths" && principal.kind !== "user") throw new Problem(403);
    const options = new Options(`request[${i}].options`, watch.options ?? {});
    requests.push({
      topic: kind === "audit-log"
        ? { kind, vpcId: await auditTopic(db, principal, options.id("organization-id")) }
        : await topicOf(db, visible, kind, options, vpcId),
      // Notices have no revisions.
      after: kind === "paths" ? 0 : watch.gt_revision ?? 0,
      atTail: watch.at_tail ?? false,
    });
  }
  return requests;
}

async function topicOf(
  db: Reader,
  visible: (vpcId: string) => Promise<VpcRow>,
  kind: WatchKind,
  options: Options,
  pathVpc: string | undefined,
): Promise<Topic> {
  // Ours alone: stock agents never ask for it, and it belongs to no VPC.
  if (kind === "relay-region") return { kind, vpcId: "" };
  const deviceId = kind === "device-metadata" ? options.id("device-id") : undefined;
  const vpcId = pathVpc ?? options.id("vpc-id") ??
    (deviceId && (await findDevice(db, deviceId))?.vpc_id);
  if (vpcId === undefined) {
    if (deviceId) throw notFound("device");
    if (kind === "device-metadata") {
      throw new Problem(400, { error: "device-id or vpc-id required" });
    }
    throw new Problem(400, { error: "required", field: options.field("vpc-id") });
  }
  const vpc = await visible(vpcId);
  if (kind !== "device-metadata") return { kind, vpcId: vpc.id };
  const prefixes = options.texts(pathVpc === undefined ? "prefix" : "prefixes");
  const key = options.text("key");
  return {
    kind,
    vpcId: vpc.id,
    filter: {
      ...(deviceId ? { deviceId } : {}),
      ...(key !== undefined ? { key } : {}),
      ...(prefixes ? { prefixes } : {}),
    },
  };
}

/** Options of one watch; absent and null are the same, unknown ones are ignored. */
class Options {
  readonly #path: string;
  readonly #values: Record<string, unknown>;

  constructor(path: string, values: Record<string, unknown>) {
    this.#path = path;
    this.#values = values;
  }

  field(name: string): string {
    return `${this.#path}.${name}`;
  }

  id(name: string): string | undefined {
    const value = this.#values[name];
    if (value === undefined || value === null) return undefined;
    const text = typeof value === "string" ? value : "";
    if (!isUuid(text)) {
      const error = text.length === 36
        ? "invalid UUID format"
        : `invalid UUID length: ${text.length}`;
      throw new Problem(400, { error, field: this.field(name) });
    }
    return text.toLowerCase();
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "string" || value.length > MAX_KEY) throw fieldInvalid(this.field(name));
    return value;
  }

  texts(name: string): string[] | undefined {
    const value = this.#values[name];
    if (value === undefined || value === null) return undefined;
    const texts = z.array(z.string().max(MAX_KEY)).max(16).safeParse(value);
    if (!texts.success) throw fieldInvalid(this.field(name));
    return texts.data;
  }
}
