/**
 * What tables show of resources: the columns of `nexctl`, of which those that fit 80 columns are shown
 * without `--full`.
 *
 * @module
 */
import { type Column, jsonText, type Row, type View } from "../output/mod.ts";

/** A column that shows a field; `full`: only with `--full`. */
function field(title: string, name: string, full = false): Column {
  return { title, of: (row) => word(row[name]), full };
}

/** A column that shows a text of somebody's own. */
const free = (title: string, name: string): Column => ({ ...field(title, name), free: true });

/** A column that `--full` adds. */
const more = (title: string, of: Column["of"]): Column => ({ title, of, full: true });

function word(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? jsonText(value) : `${value}`;
}

const list = (value: unknown): unknown[] => Array.isArray(value) ? value : [];
const object = (value: unknown): Row =>
  typeof value === "object" && value !== null ? value as Row : {};
const objects = (value: unknown): Row[] => list(value).map(object);
const words = (value: unknown): string => list(value).map(word).join(", ");

/** A time without its fractions of a second. */
const time = (value: unknown): string => word(value).replace(/\.\d+(?=Z|[+-])/, "");

export const DEVICE: View = [
  field("DEVICE ID", "id"),
  free("HOSTNAME", "hostname"),
  {
    title: "TUNNEL IPS",
    of: (row) =>
      [...objects(row.ipv4_tunnel_ips), ...objects(row.ipv6_tunnel_ips)]
        .map(({ address }) => word(address)).join(", "),
  },
  field("VPC ID", "vpc_id", true),
  field("RELAY", "relay"),
  field("PUBLIC KEY", "public_key", true),
  more("LOCAL IP", (row) => endpoint(row, /^local$/)),
  more("ADVERTISED CIDR", (row) => words(row.advertise_cidrs)),
  more("REFLEXIVE IPV4", (row) => endpoint(row, /^stun:/)),
  field("SYMMETRIC NAT", "symmetric_nat", true),
  field("OS", "os", true),
  field("SECURITY GROUP ID", "security_group_id", true),
  field("ONLINE", "online", true),
  more("ONLINE SINCE", (row) => row.online === true ? time(row.online_at) : ""),
];

function endpoint(row: Row, source: RegExp): string {
  return word(objects(row.endpoints).find((one) => source.test(word(one.source)))?.address);
}

/** Of one device. */
export const METADATA: View = [
  field("DEVICE ID", "device_id", true),
  free("KEY", "key"),
  free("VALUE", "value"),
  field("REVISION", "revision", true),
];

/** Of all devices of a VPC. */
export const VPC_METADATA: View = METADATA.map((column) =>
  column.title === "DEVICE ID" ? { ...column, full: false } : column
);

export const VPC: View = [
  field("VPC ID", "id"),
  field("ORGANIZATION ID", "organization_id", true),
  field("IPV4 CIDR", "ipv4_cidr"),
  field("IPV6 CIDR", "ipv6_cidr"),
  free("DESCRIPTION", "description"),
];

/** @param service URL of the control plane, for the flag that uses a key */
export const regKeyView = (service: string): View => [
  field("TOKEN ID", "id"),
  free("DESCRIPTION", "description"),
  {
    title: "CLI FLAGS",
    of: ({ bearer_token }) =>
      typeof bearer_token === "string" ? `--reg-key ${service}#${bearer_token}` : "",
  },
  field("VPC ID", "vpc_id", true),
  field("SECURITY GROUP ID", "security_group_id", true),
  more("SINGLE USE", (row) => `${typeof row.device_id === "string"}`),
  more("EXPIRES AT", (row) => time(row.expires_at)),
  field("SETTINGS", "settings", true),
];

export const SECURITY_GROUP: View = [
  field("SECURITY GROUP ID", "id"),
  free("DESCRIPTION", "description"),
  field("VPC ID", "vpc_id", true),
  { title: "INBOUND RULES", of: (row) => rules(row.inbound_rules) },
  { title: "OUTBOUND RULES", of: (row) => rules(row.outbound_rules) },
];

/** One line a rule; without rules everything may pass. */
function rules(value: unknown): string[] {
  const lines = objects(value).map(({ ip_protocol, from_port, to_port, ip_ranges }) => {
    const ports = from_port === to_port ? word(from_port) : `${word(from_port)}-${word(to_port)}`;
    return [
      word(ip_protocol) || "any",
      ...(ports === "" || ports === "0" ? [] : [ports]),
      ...(list(ip_ranges).length === 0 ? [] : [words(ip_ranges)]),
    ].join(" ");
  });
  return lines.length > 0 ? lines : ["all"];
}

export const ORGANIZATION: View = [
  field("ORGANIZATION ID", "id"),
  free("NAME", "name"),
  free("DESCRIPTION", "description"),
];

export const MEMBER: View = [
  field("ORGANIZATION ID", "organization_id", true),
  field("USER ID", "user_id"),
  { title: "USER NAME", free: true, of: (row) => word(object(row.user).username) },
  { title: "FULL NAME", free: true, of: (row) => word(object(row.user).full_name) },
  { title: "ROLES", of: (row) => words(row.roles) },
];

export const INVITATION: View = [
  field("INVITATION ID", "id"),
  {
    title: "ORGANIZATION",
    free: true,
    of: (row) => word(object(row.organization).name) || word(row.organization_id),
  },
  more("FROM", ({ from }) => {
    const { full_name, username } = object(from);
    const name = word(username);
    return [word(full_name), name === "" ? "" : `<${name}>`].filter((one) => one !== "").join(" ");
  }),
  { title: "EMAIL", of: (row) => word(row.email) || word(row.user_id) },
  { title: "ROLES", of: (row) => words(row.roles) },
  more("EXPIRES AT", (row) => time(row.expires_at)),
];

export const USER: View = [
  field("USER ID", "id"),
  free("USER NAME", "username"),
  field("FULL NAME", "full_name", true),
];

export const ACCOUNT: View = [
  field("ACCOUNT ID", "id", true),
  free("USER NAME", "username"),
  free("FULL NAME", "full_name"),
  free("EMAIL", "email"),
  {
    title: "STATE",
    of: ({ disabled, operator }) =>
      disabled === true ? "disabled" : operator === true ? "operator" : "in use",
  },
  field("USER ID", "user_id", true),
  more("SINCE", (row) => time(row.created_at)),
];

/** With a password that was made. */
export const ACCOUNT_MADE: View = [field("USER NAME", "username"), field("PASSWORD", "password")];

export const SERVICE_NETWORK: View = [
  field("SERVICE NETWORK ID", "id"),
  field("ORGANIZATION ID", "organization_id", true),
  free("DESCRIPTION", "description"),
];

const named = (value: unknown): string => {
  const { kind, name, id } = object(value);
  return `${word(kind)} ${word(name) || word(id)}`.trim();
};

export const AUDIT: View = [
  field("NUMBER", "id", true),
  { title: "TIME", of: (row) => time(row.at) },
  { title: "ACTOR", of: (row) => named(row.actor), free: true },
  {
    title: "ACTION",
    of: ({ action, outcome }) => `${word(action)}${outcome === "refused" ? " (refused)" : ""}`,
  },
  { title: "RESOURCE", of: (row) => named(row.resource), free: true },
  field("FROM", "address"),
  more("CHANGES", ({ changes }) =>
    Object.entries(object(changes)).map(([name, change]) => {
      const { old, new: now } = object(change);
      return `${name}: ${word(old) || "-"} > ${word(now) || "-"}`;
    })),
  field("ORGANIZATION ID", "organization_id", true),
  field("REQUEST ID", "request_id", true),
];

export const RELAY_REGION: View = [
  field("RELAY REGION ID", "id", true),
  free("NAME", "name"),
  field("REGION", "region_id"),
  {
    title: "ADDRESS",
    of: ({ hostname, port }) => `${word(hostname)}${port === 443 ? "" : `:${word(port)}`}`,
  },
  more("STUN PORT", ({ stun_port }) => stun_port === 0 ? "none" : word(stun_port)),
  more("CA", ({ ca }) => ca === undefined ? "system" : "its own"),
  field("WEIGHT", "weight"),
  {
    title: "STATE",
    of: ({ drained, built_in }) =>
      drained === true ? "drained" : built_in === true ? "built in" : "in use",
  },
  {
    title: "HEALTH",
    of: ({ health }) => {
      const { state, latency_ms } = object(health);
      return state === "up" ? `up, ${word(latency_ms)} ms` : word(state);
    },
  },
  more("FAULT", ({ health }) => word(object(health).error)),
  more("LOOKED AT", ({ health }) => time(object(health).checked_at)),
];
