/**
 * The control plane's wire types: the JSON that agents and the API exchange.
 * Types only, no code, so that agent and control can share them. Field names are Nexodus'.
 *
 * @module
 */

/** One way to reach a device's WireGuard port; `source` is `local`, `stun:` or `stun:<server>`. */
export interface Endpoint {
  source: string;
  /** Normally `ip:port`, but other agents may publish any text: never trust it unparsed. */
  address: string;
}

/** An address inside the tunnel and the VPC range that it came from. */
export interface TunnelIp {
  address: string;
  cidr: string;
}

/** A device as the API returns it and as events carry it. */
export interface Device {
  id: string;
  owner_id: string;
  vpc_id: string;
  /** WireGuard public key, standard base64; `""` once the device is deleted. */
  public_key: string;
  allowed_ips: string[];
  ipv4_tunnel_ips: TunnelIp[];
  ipv6_tunnel_ips: TunnelIp[];
  advertise_cidrs: string[] | null;
  relay: boolean;
  symmetric_nat: boolean;
  hostname: string;
  os: string;
  endpoints: Endpoint[] | null;
  revision: number;
  security_group_id: string;
  online: boolean;
  online_at: string | null;
  /** Sealed device token, only for callers who may have it. */
  bearer_token?: string;
}

/** Body of `POST /api/devices`. */
export interface AddDevice {
  vpc_id: string;
  public_key: string;
  hostname?: string;
  os?: string;
  relay?: boolean;
  symmetric_nat?: boolean;
  endpoints?: Endpoint[];
  ipv4_tunnel_ips?: TunnelIp[];
  advertise_cidrs?: string[];
  security_group_id?: string;
}

/** Body of `PATCH /api/devices/{id}`: what is absent stays. */
export interface UpdateDevice {
  vpc_id?: string;
  hostname?: string;
  relay?: boolean;
  symmetric_nat?: boolean;
  endpoints?: Endpoint[];
  advertise_cidrs?: string[];
  security_group_id?: string;
  revision?: number;
}

/** A user; the id is also that of its own organization, VPC and security group. */
export interface User {
  id: string;
  full_name: string;
  picture: string;
  username: string;
}

/** An organization: its members share its VPCs. */
export interface Organization {
  id: string;
  name: string;
  description: string;
}

/** A user's part in an organization. */
export interface Member {
  user_id: string;
  organization_id: string;
  user: User;
  /** Of `owner` and `member`. */
  roles: string[];
}

/** An offer to join an organization. */
export interface Invitation {
  id: string;
  user_id?: string;
  /** `""`: none. */
  email: string;
  organization_id: string;
  organization?: Organization;
  expires_at: string;
  from?: User;
  roles: string[];
  /** Our own addition, told once: whoever opens it first chooses a name and a password. */
  link?: string;
}

/** Body of `POST /api/invitations`: one of `user_id` and `email`, the other absent or `""`. */
export interface AddInvitation {
  organization_id?: string | null | undefined;
  user_id?: string | null | undefined;
  email?: string | null | undefined;
  roles?: string[] | null | undefined;
}

/** What sites of an organization would meet in. */
export interface ServiceNetwork {
  id: string;
  organization_id: string;
  description: string;
  revision: number;
}

/** Body of `POST /api/vpcs`; both ranges come with `private_cidr`, and none without. */
export interface AddVpc {
  organization_id?: string | null | undefined;
  description?: string | null | undefined;
  private_cidr?: boolean | null | undefined;
  ipv4_cidr?: string | null | undefined;
  ipv6_cidr?: string | null | undefined;
}

/** A VPC: the address ranges that its devices share. */
export interface Vpc {
  id: string;
  organization_id: string;
  description: string;
  private_cidr: boolean;
  ipv4_cidr: string;
  ipv6_cidr: string;
  revision: number;
}

/** A registration key; `bearer_token` is `RK:…`, or `""` where the caller may not have it. */
export interface RegKey {
  id: string;
  owner_id: string;
  vpc_id?: string;
  bearer_token: string;
  description?: string;
  device_id?: string;
  expires_at?: string;
  security_group_id: string | null;
  settings: Record<string, unknown> | null;
}

/** Body of `POST /api/reg-keys`. */
export interface AddRegKey extends UpdateRegKey {
  vpc_id?: string | null | undefined;
  service_network_id?: string | null | undefined;
  single_use?: boolean | null | undefined;
}

/** Body of `PATCH /api/reg-keys/{id}`: what is absent stays. */
export interface UpdateRegKey {
  description?: string | null | undefined;
  /** RFC 3339, or as Go prints a time; `0001-01-01T00:00:00Z`: never. */
  expires_at?: string | null | undefined;
  security_group_id?: string | null | undefined;
  settings?: Record<string, unknown> | null | undefined;
}

/** A key of a device's metadata; `value` is a JSON object. */
export interface DeviceMetadata {
  device_id: string;
  key: string;
  value: Record<string, unknown>;
  revision: number;
}

/** A rule of a security group. */
export interface SecurityRule {
  ip_protocol: string;
  from_port: number;
  to_port: number;
  ip_ranges?: string[];
}

/** A security group; an absent rule list allows everything in that direction. */
export interface SecurityGroup {
  id: string;
  vpc_id: string;
  description: string;
  inbound_rules?: SecurityRule[];
  outbound_rules?: SecurityRule[];
  revision: number;
}

/** A rule as a caller sends it: what is absent is empty. */
export type SecurityRuleInput = { [K in keyof SecurityRule]?: SecurityRule[K] | null | undefined };

/** Body of `POST /api/security-groups`. */
export interface AddSecurityGroup {
  vpc_id?: string | null | undefined;
  description?: string | null | undefined;
  inbound_rules?: SecurityRuleInput[] | null | undefined;
  outbound_rules?: SecurityRuleInput[] | null | undefined;
}

/** Body of `PATCH /api/security-groups/{id}`: what is absent stays. */
export type UpdateSecurityGroup = Omit<AddSecurityGroup, "vpc_id">;

/** What the control plane saw when it last looked at a relay. */
export interface RelayHealth {
  state: "up" | "down";
  /** From question to answer, ms. */
  latency_ms?: number;
  error?: string;
  checked_at: string;
}

/** What a relay carries, of all organizations together. */
export interface RelayLoad {
  clients: number;
  /** Of packets, in and out. */
  bytes_per_second?: number;
}

/** How a relay was at the control plane's last looks, oldest first; without latency: no answer. */
export interface RelayTrend {
  points: ({ at: string; latency_ms?: number } & Partial<RelayLoad>)[];
}

/** A public relay that agents are told of. Our own addition: stock servers have none. */
export interface RelayRegion {
  id: string;
  name: string;
  /** Of the DERP map; relays of one region are linked with each other. */
  region_id: number;
  hostname: string;
  port: number;
  /** 0: none. */
  stun_port: number;
  /** PEM of the only authorities to trust there. */
  ca?: string;
  weight: number;
  drained: boolean;
  revision: number;
  /** Known to agents without being told, and used while there is no other. */
  built_in?: true;
  /** In lists: the caller may change relays. */
  editable?: true;
  health?: RelayHealth;
  /** For who may change relays, of relays that tell it. */
  load?: RelayLoad;
}

/** Body of `POST /api/relay-regions`. */
export interface AddRelayRegion {
  name?: string | null | undefined;
  region_id?: number | null | undefined;
  hostname?: string | null | undefined;
  port?: number | null | undefined;
  stun_port?: number | null | undefined;
  ca?: string | null | undefined;
  weight?: number | null | undefined;
  drained?: boolean | null | undefined;
}

/** Body of `PATCH /api/relay-regions/{id}`: what is absent stays. */
export type UpdateRelayRegion = AddRelayRegion;

/** A device's way to another of its VPC, as the device tells it. */
export interface PeerPath {
  device_id: string;
  /** `none`: there is no way. */
  path: "direct" | "relayed" | "none";
  /** Packets were seen to get through. */
  healthy: boolean;
  /** Why this way, for people. */
  reason: string;
  /** Name of the relay, where the way goes over one. */
  relay?: string | null | undefined;
  /** Round trip, ms. */
  latency_ms?: number | null | undefined;
}

/** A relay, as a device sees it. */
export interface SeenRelay {
  hostname: string;
  port: number;
  /** The device is reached there. */
  home: boolean;
  /** Round trip, ms; absent while it was not measured. */
  latency_ms?: number | null | undefined;
  /** Why it cannot be used. */
  error?: string | null | undefined;
}

/** Body of `PUT /api/devices/{id}/paths`: what a device tells of its ways. Our own addition. */
export interface PathReport {
  /** The most used of them. */
  peers: PeerPath[];
  /** How many peers there are beside them. */
  more: number;
  relays: SeenRelay[];
}

/** The ways of a device that is online, as it told them last. */
export interface DevicePaths extends Omit<PathReport, "relays"> {
  device_id: string;
  told_at: string;
}

/** A relay as the devices of a VPC see it. */
export interface RelayView {
  hostname: string;
  port: number;
  /** Devices that tell of it, that are reached there, and that cannot use it. */
  devices: number;
  home: number;
  failing: number;
  /** Round trip in the middle of theirs, and the longest, ms. */
  latency_ms?: number;
  worst_ms?: number;
}

/** One entry of the audit log. Our own addition: stock servers have none. */
export interface AuditEntry {
  /** Rises with each entry. */
  id: number;
  at: string;
  /** Of the answer's `X-Request-Id`; `""`: no request. */
  request_id: string;
  /** Who it was, by the name of then. */
  actor: { kind: "user" | "device" | "reg-key" | "system"; id: string; name: string };
  /** `""`: of the whole service. */
  organization_id: string;
  /** Resource and verb: `vpc.create`. */
  action: string;
  resource: { kind: string; id: string; name: string };
  /** IP address that the request came from; `""`: none. */
  address: string;
  outcome: "done" | "refused";
  /** Fields with what they were and what they became, long values cut. */
  changes: Record<string, { old?: AuditValue; new?: AuditValue }>;
}

type AuditValue = string | number | boolean | null;

/** What a watch may ask for. */
export type WatchKind =
  | "device"
  | "security-group"
  | "device-metadata"
  | "vpc"
  | "relay-region"
  | "audit-log"
  | "paths";

/** One entry of the body of `POST /api/events`. */
export interface Watch {
  kind: WatchKind;
  gt_revision?: number;
  at_tail?: boolean;
  options?: Record<string, unknown>;
}

/** One event of the watch stream; `tail` ends the backlog, `error` has no kind. */
export type WatchEvent =
  | { kind: "device"; type: "change" | "delete"; value: Device }
  | { kind: "security-group"; type: "change" | "delete"; value: SecurityGroup }
  | { kind: "device-metadata"; type: "change" | "delete"; value: DeviceMetadata }
  | { kind: "vpc"; type: "change" | "delete"; value: Vpc }
  | { kind: "relay-region"; type: "change" | "delete"; value: RelayRegion }
  | { kind: "audit-log"; type: "change"; value: AuditEntry }
  /** The paths of a VPC are other ones: a notice without them, at most one a second. */
  | { kind: "paths"; type: "change"; value: { vpc_id: string } }
  | { kind: WatchKind; type: "tail" }
  | { kind?: undefined; type: "error"; value: { error: string } };

/** Body of an error answer. */
export interface ApiError {
  error: string;
  id?: string;
  field?: string;
  reason?: string;
  resource?: string;
  trace_id?: string;
}
