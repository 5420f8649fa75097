import type {
  AuditEntry,
  Device,
  DeviceMetadata,
  Organization,
  RegKey,
  RelayRegion,
  SecurityGroup,
  User,
  Vpc,
} from "../api/types.ts";
import type {
  AuditRow,
  DeviceRow,
  MetadataRow,
  OrganizationRow,
  RegKeyRow,
  RelayRegionRow,
  SecurityGroupRow,
  UserRow,
  VpcRow,
} from "./tables.ts";

/** A device as the API shows it, without a token; keys in the order that stock servers use. */
export function toDevice(row: DeviceRow): Device {
  return {
    id: row.id,
    owner_id: row.owner_id,
    vpc_id: row.vpc_id,
    public_key: row.public_key,
    // Always with a prefix length, for relays too, so that `relay` can change without this changing.
    allowed_ips: [`${row.ipv4_address}/32`, `${row.ipv6_address}/128`],
    ipv4_tunnel_ips: [{ address: row.ipv4_address, cidr: row.ipv4_cidr }],
    ipv6_tunnel_ips: [{ address: row.ipv6_address, cidr: row.ipv6_cidr }],
    advertise_cidrs: parse(row.advertise_cidrs_json),
    relay: row.relay !== 0,
    symmetric_nat: row.symmetric_nat !== 0,
    hostname: row.hostname,
    os: row.os,
    endpoints: parse(row.endpoints_json),
    revision: row.revision,
    security_group_id: row.security_group_id,
    online: row.online !== 0,
    online_at: row.online_at,
  };
}

/** A user as the API shows it. */
export function toUser({ id, full_name, picture, username }: UserRow): User {
  return { id, full_name, picture, username };
}

/** An organization as the API shows it. */
export function toOrganization({ id, name, description }: OrganizationRow): Organization {
  return { id, name, description };
}

/** A public relay as the API shows it. */
export function toRelayRegion(row: RelayRegionRow): RelayRegion {
  const { id, name, region_id, hostname, port, stun_port, ca, weight, drained, revision } = row;
  return {
    ...{ id, name, region_id, hostname, port, stun_port },
    ...(ca === "" ? {} : { ca }),
    ...{ weight, drained: drained !== 0, revision },
  };
}

/** A VPC as the API shows it. */
export function toVpc(row: VpcRow): Vpc {
  return {
    id: row.id,
    organization_id: row.organization_id,
    description: row.description,
    private_cidr: row.private_cidr !== 0,
    ipv4_cidr: row.ipv4_cidr,
    ipv6_cidr: row.ipv6_cidr,
    revision: row.revision,
  };
}

/** A security group as the API shows it: absent rule lists stay absent. */
export function toSecurityGroup(row: SecurityGroupRow): SecurityGroup {
  const inbound = parse<SecurityGroup["inbound_rules"]>(row.inbound_rules_json);
  const outbound = parse<SecurityGroup["outbound_rules"]>(row.outbound_rules_json);
  return {
    id: row.id,
    description: row.description,
    vpc_id: row.vpc_id,
    ...(inbound ? { inbound_rules: inbound } : {}),
    ...(outbound ? { outbound_rules: outbound } : {}),
    revision: row.revision,
  };
}

/** One metadata key as the API shows it. */
export function toMetadata(row: MetadataRow): DeviceMetadata {
  return {
    device_id: row.device_id,
    key: row.key,
    value: parse(row.value_json) ?? {},
    revision: row.revision,
  };
}

/** A registration key as the API shows it to who presented `token`: only the holder has its text. */
export function toRegKey(row: RegKeyRow, token: string): RegKey {
  return {
    id: row.id,
    owner_id: row.owner_id,
    ...(row.vpc_id ? { vpc_id: row.vpc_id } : {}),
    bearer_token: token,
    ...(row.description ? { description: row.description } : {}),
    ...(row.device_id ? { device_id: row.device_id } : {}),
    ...(row.expires_at ? { expires_at: row.expires_at } : {}),
    security_group_id: row.security_group_id,
    settings: parse(row.settings_json),
  };
}

/** An entry of the audit log as the API shows it. */
export function toAuditEntry({ changes_json, ...row }: AuditRow): AuditEntry {
  const { id, at, request_id, organization_id, action, address, outcome } = row;
  return {
    ...{ id, at, request_id },
    actor: { kind: row.actor_kind, id: row.actor_id, name: row.actor_name },
    ...{ organization_id, action },
    resource: { kind: row.resource_kind, id: row.resource_id, name: row.resource_name },
    ...{ address, outcome },
    changes: JSON.parse(changes_json) as AuditEntry["changes"],
  };
}

function parse<T>(json: string | null): T | null {
  return json === null ? null : JSON.parse(json) as T;
}
