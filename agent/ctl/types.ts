/**
 * What a running agent tells about itself: the JSON of `nexd status --json`.
 *
 * @module
 */

/** State of the agent as Nexodus names it. */
type AgentPhase = "Starting" | "WaitingForAuth" | "Running";

/** One peer. Byte counts are WireGuard's, packet counts the proxy's (relayed peers only). */
export interface PeerStatus {
  hostname: string;
  /** base64 */
  public_key: string;
  tunnel_ipv4: string;
  tunnel_ipv6: string;
  method: string;
  /** Why, for programs. */
  code: string;
  /** Why, for people. */
  reason: string;
  /** Where WireGuard sends; `127.a.b.c:9002` is the proxy. */
  endpoint: string;
  /** Host of the relay, for relayed peers. */
  relay?: string;
  healthy: boolean;
  /** ms since the epoch */
  last_handshake_ms: number | null;
  rx_bytes: number;
  tx_bytes: number;
  tx_packets?: number;
  rx_packets?: number;
  allowed_ips: string[];
  /** What happened to the way to it, oldest first; the newest 16. `at` is ms since the epoch. */
  history?: readonly { at: number; event: string; method: string }[];
  /** Better ways than the one in use, best first, and why each is not it. */
  better?: { method: string; reason: string }[];
  /** Endpoints that have answered a probe: how fast, and when last, ms since the epoch. */
  paths?: { endpoint: string; rtt_ms: number; answered_ms: number }[];
  /** What was left out of this peer, and why. */
  notes?: string[];
}

/** A peer that offers to be an exit node. */
export interface ExitNodeStatus {
  hostname: string;
  /** base64 */
  public_key: string;
  endpoint: string;
  allowed_ips: string[];
  keepalive_seconds: number;
  healthy: boolean;
  /** This host's traffic goes to it. */
  in_use: boolean;
}

/** What a person has to do before the agent can go on. */
interface LoginStatus {
  /** Sign in here. */
  url: string;
  /** Where the link does not hold it already. */
  code?: string;
}

/** A device of the VPC that is not used as a peer. */
interface SkippedStatus {
  hostname: string;
  public_key: string;
  code: string;
  reason: string;
}

/** A relay of the list, or one that is being left. */
export interface ListedRelayStatus {
  host: string;
  port: number;
  /** IP that is dialled instead of resolving `host`. */
  address?: string;
  /** `home`; `open`: logged in beside it; `leaving`; `idle`: not in use. */
  role: "home" | "open" | "leaving" | "idle";
  /** `silent`: logged in, and its answers are late. */
  state: "connecting" | "connected" | "silent" | "closed" | "idle";
  /** When the state began, ISO 8601. */
  since?: string;
  /** Round trip of a ping, ms; null while it was not measured. */
  rtt_ms: number | null;
  /** Why this role, for programs. */
  reason?: string;
  /** Why there is no connection. */
  error?: string;
}

/** The relay connection. */
export interface RelayStatus {
  host: string;
  port: number;
  state: string;
  since: string;
  serverKey?: string;
  error?: string;
  reconnects: number;
  rttMs?: number;
  /** Why this relay. */
  reason?: string;
}

/** A STUN server in the last round, over one IP version. */
interface StunServerStatus {
  /** As it was given. */
  server: string;
  family: "ipv4" | "ipv6";
  /** `ip:port` that was asked. */
  address: string;
  /** `ip:port` that it saw. */
  seen?: string;
  rtt_ms: number | null;
  /** Why its answer does not count. */
  error?: string;
}

/** What is believed of the NAT for one IP version. */
interface FamilyNatStatus {
  nat: "symmetric" | "cone" | "unknown";
  /** `ip:port`, or empty. */
  reflexive: string;
  /** When that last changed, ms since the epoch. */
  changed_ms?: number;
  /** Rounds fail since then, and why; what is told is from before. */
  failing_since_ms?: number;
  error?: string;
}

/** How the NAT is measured, and what came of it. */
export interface NetcheckStatus {
  /** `raw-socket`: from WireGuard's port while it runs; `first-result`: only before it did. */
  method: "raw-socket" | "first-result";
  /** Why it is only the first result. */
  method_reason?: string;
  /** How changes of the host's network are noticed. */
  network_watch?: "netlink" | "addresses";
  interval_ms: number;
  rounds: number;
  /** ms since the epoch */
  last_round_ms: number | null;
  /** The last round that brought an address, ms since the epoch. */
  last_good_ms: number | null;
  ipv4: FamilyNatStatus;
  ipv6: FamilyNatStatus;
  servers: StunServerStatus[];
  /** Whether paths to peers are probed beside WireGuard, and why not. */
  path_probes?: "on" | "off";
  path_probes_reason?: string;
  /** Whether the control plane knows all this, or why not. */
  published: "current" | "waiting";
  publish_error?: string;
  /** Why the last round was of no use. */
  error?: string;
}

/** Everything. */
export interface AgentStatus {
  status: AgentPhase;
  version: string;
  hostname: string;
  public_key: string;
  tunnel_ipv4: string;
  tunnel_ipv6: string;
  /** Its real name; the wanted one while there is none. */
  interface: string;
  /** What drives it: `kernel`, `wireguard-go`, `wireguard-nt`; absent while there is none. */
  driver?: string;
  /** `real-time`, or `normal: ` and why, where wireguard-go carries the packets. */
  scheduling?: string;
  listen_port: number;
  nat: "symmetric" | "cone" | "unknown";
  reflexive: string;
  /** `[ip]:port` over IPv6, where there is one. */
  reflexive6?: string;
  relay_only: boolean;
  control: { url: string; state: string; error?: string };
  /** While the status is WaitingForAuth. */
  login?: LoginStatus;
  relay: RelayStatus | null;
  /** Every relay there is, in the order that all agents of the VPC have in common. */
  relays?: ListedRelayStatus[];
  capture: string;
  /** Packets the proxy dropped, by reason. */
  drops: Record<string, number>;
  netcheck?: NetcheckStatus;
  peers: PeerStatus[];
  skipped: SkippedStatus[];
  /** What was changed on this host beside WireGuard, and what could not be; a line each. */
  host?: string[];
  /** The last error of the reconcile loop, while it lasts. */
  error?: string;
}
