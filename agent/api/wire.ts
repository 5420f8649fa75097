/**
 * From untrusted JSON to the wire types. Everything is bounded, absent fields get a neutral value,
 * and an object without the fields that identify it is refused. Revisions are read as JavaScript's
 * safe integers, beyond 2^31 too.
 *
 * @module
 */
import type {
  Device,
  DeviceMetadata,
  Endpoint,
  RegKey,
  RelayRegion,
  SecurityGroup,
  SecurityRule,
  TunnelIp,
  User,
  Vpc,
} from "../../control/api/types.ts";
import { cleanText } from "../errors.ts";

const MAX_ID = 128, MAX_TEXT = 512, MAX_LIST = 64, MAX_CIDRS = 256;
/** Of a security group's direction, and of one rule. What comes after lets nothing more through. */
const MAX_RULES = 512, MAX_RANGES = 256;
/** Stands for what could not be read, where an empty text would mean "any". */
const UNREADABLE = "?";

/** A JSON object, as opposed to null, an array or a scalar. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown, limit = MAX_TEXT): string {
  return typeof value === "string" && value.length <= limit ? value : "";
}

function list(value: unknown, limit = MAX_LIST): unknown[] {
  return Array.isArray(value) ? value.slice(0, limit) : [];
}

function texts(value: unknown, limit = MAX_LIST): string[] {
  return list(value, limit).map((item) => text(item)).filter((item) => item !== "");
}

function revision(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

function tunnelIps(value: unknown): TunnelIp[] {
  return list(value).filter(isObject).map((item) => ({
    address: text(item.address),
    cidr: text(item.cidr),
  }));
}

function endpoints(value: unknown): Endpoint[] {
  return list(value).filter(isObject).map((item) => ({
    source: text(item.source),
    address: text(item.address),
  }));
}

/** A device, or undefined when it has no id. The public key may be empty (deleted) or rubbish. */
export function parseDevice(value: unknown): Device | undefined {
  if (!isObject(value)) return undefined;
  const id = text(value.id, MAX_ID);
  if (id === "") return undefined;
  return {
    id,
    owner_id: text(value.owner_id, MAX_ID),
    vpc_id: text(value.vpc_id, MAX_ID),
    public_key: text(value.public_key),
    allowed_ips: texts(value.allowed_ips),
    ipv4_tunnel_ips: tunnelIps(value.ipv4_tunnel_ips),
    ipv6_tunnel_ips: tunnelIps(value.ipv6_tunnel_ips),
    advertise_cidrs: Array.isArray(value.advertise_cidrs)
      ? texts(value.advertise_cidrs, MAX_CIDRS)
      : null,
    relay: value.relay === true,
    symmetric_nat: value.symmetric_nat === true,
    hostname: cleanText(text(value.hostname)),
    os: cleanText(text(value.os)),
    endpoints: endpoints(value.endpoints),
    revision: revision(value.revision),
    security_group_id: text(value.security_group_id, MAX_ID),
    online: value.online === true,
    online_at: text(value.online_at) || null,
    ...(text(value.bearer_token, 4096) === ""
      ? {}
      : { bearer_token: text(value.bearer_token, 4096) }),
  };
}

/** A VPC, or undefined when it has no id. */
export function parseVpc(value: unknown): Vpc | undefined {
  if (!isObject(value) || text(value.id, MAX_ID) === "") return undefined;
  return {
    id: text(value.id, MAX_ID),
    organization_id: text(value.organization_id, MAX_ID),
    description: cleanText(text(value.description)),
    private_cidr: value.private_cidr === true,
    ipv4_cidr: text(value.ipv4_cidr),
    ipv6_cidr: text(value.ipv6_cidr),
    revision: revision(value.revision),
  };
}

/** A registration key, or undefined when it has no id. */
export function parseRegKey(value: unknown): RegKey | undefined {
  if (!isObject(value) || text(value.id, MAX_ID) === "") return undefined;
  const vpc = text(value.vpc_id, MAX_ID), expires = text(value.expires_at);
  return {
    id: text(value.id, MAX_ID),
    owner_id: text(value.owner_id, MAX_ID),
    ...(vpc === "" ? {} : { vpc_id: vpc }),
    bearer_token: text(value.bearer_token),
    ...(expires === "" ? {} : { expires_at: expires }),
    security_group_id: text(value.security_group_id, MAX_ID) || null,
    settings: isObject(value.settings) ? value.settings : null,
  };
}

/** A key of a device's metadata, or undefined when it names no device or key. */
export function parseMetadata(value: unknown): DeviceMetadata | undefined {
  if (!isObject(value)) return undefined;
  const device_id = text(value.device_id, MAX_ID), key = text(value.key);
  if (device_id === "" || key === "") return undefined;
  return {
    device_id,
    key,
    value: isObject(value.value) ? value.value : {},
    revision: revision(value.revision),
  };
}

/**
 * A security group, or undefined when it has no id. What cannot be read never becomes less strict: a
 * list of rules that is none counts as one with an unusable rule, an unreadable field as unusable.
 */
export function parseSecurityGroup(value: unknown): SecurityGroup | undefined {
  if (!isObject(value)) return undefined;
  const id = text(value.id, MAX_ID);
  if (id === "") return undefined;
  const inbound = rules(value.inbound_rules), outbound = rules(value.outbound_rules);
  return {
    id,
    vpc_id: text(value.vpc_id, MAX_ID),
    description: cleanText(text(value.description)),
    ...(inbound === undefined ? {} : { inbound_rules: inbound }),
    ...(outbound === undefined ? {} : { outbound_rules: outbound }),
    revision: revision(value.revision),
  };
}

function rules(value: unknown): SecurityRule[] | undefined {
  if (value === undefined || value === null) return undefined;
  return (Array.isArray(value) ? value.slice(0, MAX_RULES) : [UNREADABLE]).map(rule);
}

function rule(value: unknown): SecurityRule {
  if (!isObject(value)) return { ip_protocol: UNREADABLE, from_port: -1, to_port: -1 };
  const ranges = value.ip_ranges ?? [];
  const ip_ranges = (Array.isArray(ranges) ? ranges.slice(0, MAX_RANGES) : [UNREADABLE])
    .map((range) => typeof range === "string" && range.length <= MAX_ID ? range : UNREADABLE);
  const protocol = value.ip_protocol ?? "";
  return {
    ip_protocol: typeof protocol === "string" && protocol.length <= MAX_ID ? protocol : UNREADABLE,
    from_port: port(value.from_port),
    to_port: port(value.to_port),
    ...(ip_ranges.length > 0 ? { ip_ranges } : {}),
  };
}

function port(value: unknown): number {
  return value === undefined || value === null
    ? 0
    : Number.isSafeInteger(value)
    ? Number(value)
    : -1;
}

/** Longest CA of a relay, characters. */
const MAX_CA = 8 * 1024;

/** A public relay, or undefined when it has no id or is known without being told. */
export function parseRelayRegion(value: unknown): RelayRegion | undefined {
  if (!isObject(value) || value.built_in === true) return undefined;
  const id = text(value.id, MAX_ID), ca = value.ca ?? "";
  if (id === "") return undefined;
  return {
    id,
    name: cleanText(text(value.name)),
    region_id: revision(value.region_id),
    hostname: text(value.hostname),
    port: port(value.port),
    stun_port: port(value.stun_port),
    // One that cannot be read must not turn into none: then others would be trusted.
    ...(ca === "" ? {} : { ca: text(ca, MAX_CA) || UNREADABLE }),
    weight: revision(value.weight),
    drained: value.drained === true,
    revision: revision(value.revision),
  };
}

/** A user, or undefined if it has no id. */
export function parseUser(value: unknown): User | undefined {
  if (!isObject(value) || text(value.id, MAX_ID) === "") return undefined;
  return {
    id: text(value.id, MAX_ID),
    full_name: cleanText(text(value.full_name)),
    picture: text(value.picture),
    username: cleanText(text(value.username)),
  };
}
