import type { Generated } from "kysely";

/**
 * The database as kysely sees it. Identifiers are lower-case UUID text, times ISO 8601 text in UTC,
 * booleans 0 or 1, `*_json` columns JSON text. `revision` columns come from the table `revisions`.
 */
export interface Tables {
  meta: { key: string; value: string };
  revisions: { name: RevisionName; value: number };
  accounts: AccountRow;
  users: UserRow;
  signing_keys: { generation: number; created_at: string };
  device_codes: DeviceCodeRow;
  auth_codes: AuthCodeRow;
  ended_sessions: { id: string; expires_at: string };
  organizations: OrganizationRow;
  memberships: { user_id: string; organization_id: string; roles_json: string };
  invitations: InvitationRow;
  service_networks: ServiceNetworkRow;
  relay_regions: RelayRegionRow;
  vpcs: VpcRow;
  security_groups: SecurityGroupRow & {
    /** The revision at its making: orders lists. */
    made: Generated<number>;
  };
  reg_keys: RegKeyRow;
  devices: DeviceRow;
  device_departures: DepartureRow;
  audit_log: AuditRow;
  /** Control planes on this database; `beat` changes as long as one lives. */
  instances: { id: string; beat: number };
  /** Which control planes hold streams of a device: it is online while any does. */
  device_streams: { device_id: string; instance_id: string };
  /** What devices that are online say of their ways to others: gone when they are. */
  device_paths: DevicePathsRow;
  /** How relays were at the last looks: of an hour. */
  relay_samples: RelaySampleRow;
  device_metadata: MetadataRow;
  address_pools: { namespace: string; family: number; first: string; last: string };
  address_gaps: { namespace: string; family: number; first: string; last: string };
  advertised_cidrs: {
    vpc_id: string;
    family: number;
    first: string;
    last: string;
    device_id: string;
  };
}

/** Each of these has its own counter, as each is its own kind of watch. */
export type RevisionName =
  | "devices"
  | "device_metadata"
  | "security_groups"
  | "vpcs"
  | "relay_regions"
  | "audit_log";

/** Who signs in at this control plane. */
export interface AccountRow {
  id: string;
  username: string;
  full_name: string;
  email: string;
  /** `""`: no password opens it. */
  password_hash: string;
  /** Part of every token of the account: a higher number ends all of them. */
  generation: number;
  created_at: string;
  /** 1: runs this control plane, and changes what is common to all organizations. */
  operator: number;
  /** 1: signs in no more, and its registration keys let nobody in. */
  disabled: number;
}

/** A sign-in in a browser, from the password to the first tokens. */
export interface AuthCodeRow {
  /** SHA-256 of the code, hex. */
  code_hash: string;
  account_id: string;
  client_id: string;
  redirect_uri: string;
  /** Of PKCE with S256. */
  challenge: string;
  scope: string;
  /** `""`: none was sent. */
  nonce: string;
  /** The session that it became; a second use ends it. */
  session_id: string | null;
  created_at: string;
  expires_at: string;
}

/** One control plane's look at a relay. */
export interface RelaySampleRow {
  relay_id: string;
  at: string;
  /** Any name of the control plane that is its own. */
  instance_id: string;
  /** Round trip, µs; null: it did not answer. */
  latency_us: number | null;
  /** Null where it does not tell. */
  clients: number | null;
  bytes_per_second: number | null;
}

/** What a device told of its ways. */
export interface DevicePathsRow {
  device_id: string;
  /** The VPC that the device was in then. */
  vpc_id: string;
  peers_json: string;
  relays_json: string;
  told_at: string;
}

/** A public relay. */
export interface RelayRegionRow {
  id: string;
  name: string;
  region_id: number;
  hostname: string;
  port: number;
  /** 0: none. */
  stun_port: number;
  /** PEM; `""`: the system's authorities. */
  ca: string;
  weight: number;
  drained: number;
  revision: number;
  created_at: string;
  deleted_at: string | null;
}

/** A user of the API: made when an account is first seen there. */
export interface UserRow {
  id: string;
  username: string;
  full_name: string;
  picture: string;
  created_at: string;
  /** The `sub` of the tokens that speak for it. */
  subject: string | null;
  /** In lower case, as its issuer vouches for it; `""`: none. Invitations go by it. */
  email: string;
  deleted_at: string | null;
}

export interface OrganizationRow {
  id: string;
  name: string;
  description: string;
  created_at: string;
  deleted_at: string | null;
}

/** An offer to join an organization: to a user, to whoever has an e-mail address, or to both. */
export interface InvitationRow {
  id: string;
  organization_id: string;
  user_id: string | null;
  /** In lower case; null: none. */
  email: string | null;
  from_user_id: string;
  roles_json: string;
  created_at: string;
  expires_at: string;
  /** SHA-256 of the code in the link with which a new person accepts it, hex; null: no link. */
  link_hash: string | null;
}

/** What sites of an organization would meet in. */
export interface ServiceNetworkRow {
  id: string;
  organization_id: string;
  description: string;
  revision: number;
  created_at: string;
}

/** A device's request to be let in, until somebody has decided and it has asked again. */
export interface DeviceCodeRow {
  /** SHA-256 of the device code, hex. */
  code_hash: string;
  /** What a person types, `BCDF-GHJK`. */
  user_code: string;
  client_id: string;
  scope: string;
  /** What the host calls itself; `""` when it does not say. */
  device_name: string;
  /** IP address that asked. */
  address: string;
  /** Who let it in; null as long as nobody has. */
  account_id: string | null;
  denied: number;
  created_at: string;
  expires_at: string;
}

export interface VpcRow {
  id: string;
  organization_id: string;
  description: string;
  private_cidr: number;
  ipv4_cidr: string;
  ipv6_cidr: string;
  revision: number;
  deleted_at: string | null;
}

export interface SecurityGroupRow {
  id: string;
  vpc_id: string;
  description: string;
  inbound_rules_json: string | null;
  outbound_rules_json: string | null;
  revision: number;
  deleted_at: string | null;
}

export interface RegKeyRow {
  id: string;
  owner_id: string;
  vpc_id: string | null;
  /** SHA-256 of the token, hex: the token itself is 32 random bytes, so a plain hash is enough. */
  token_hash: string;
  description: string;
  /** Set for a single-use key: the id that its one device gets. */
  device_id: string | null;
  /** Set once a single-use key has made its device; stays when that device is deleted. */
  used_at: string | null;
  expires_at: string | null;
  security_group_id: string | null;
  settings_json: string | null;
  created_at: string;
  deleted_at: string | null;
}

export interface DeviceRow {
  id: string;
  owner_id: string;
  vpc_id: string;
  /** The registration key that made the device; null when a user did. */
  reg_key_id: string | null;
  /** `""` once deleted, so that the key can register again. */
  public_key: string;
  /** SHA-256 of the device token, hex; `""` once deleted. The token is derived, never stored. */
  token_hash: string;
  /** Part of what the token is derived from: a higher number is another token. */
  token_generation: number;
  ipv4_address: string;
  ipv4_cidr: string;
  ipv6_address: string;
  ipv6_cidr: string;
  advertise_cidrs_json: string | null;
  relay: number;
  symmetric_nat: number;
  hostname: string;
  os: string;
  endpoints_json: string | null;
  security_group_id: string;
  online: number;
  online_at: string | null;
  revision: number;
  created_at: string;
  deleted_at: string | null;
}

/** A device that moved out of a VPC: what its watchers get as a `delete`. */
interface DepartureRow {
  vpc_id: string;
  device_id: string;
  revision: number;
  device_json: string;
}

export interface MetadataRow {
  device_id: string;
  key: string;
  /** The device's VPC, kept here so that a watch reads one index. */
  vpc_id: string;
  value_json: string;
  revision: number;
  deleted_at: string | null;
}

/** Who did what when. It refers to nothing: what it tells of may be gone. */
export interface AuditRow {
  /** Its revision: rises with each row. */
  id: number;
  /** When it was committed, ms. */
  at: string;
  /** Of the answer's `X-Request-Id`; `""`: no request. */
  request_id: string;
  actor_kind: "user" | "device" | "reg-key" | "system";
  actor_id: string;
  /** As it was then. */
  actor_name: string;
  /** Whose owners may read it; `""`: of the whole service. */
  organization_id: string;
  /** Resource and verb: `vpc.create`. */
  action: string;
  resource_kind: string;
  resource_id: string;
  /** As it was then. */
  resource_name: string;
  /** IP address that the request came from; `""`: none. */
  address: string;
  outcome: "done" | "refused";
  /** Fields with what they were and what they became. */
  changes_json: string;
}
