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
  /** What was left out of this peer, and why. */
  notes?: string[];
}

/** A device of the VPC that is not used as a peer. */
interface SkippedStatus {
  hostname: string;
  public_key: string;
  code: string;
  reason: string;
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

/** Everything. */
export interface AgentStatus {
  status: AgentPhase;
  version: string;
  hostname: string;
  public_key: string;
  tunnel_ipv4: string;
  tunnel_ipv6: string;
  interface: string;
  listen_port: number;
  nat: "symmetric" | "cone" | "unknown";
  reflexive: string;
  relay_only: boolean;
  control: { url: string; state: string; error?: string };
  relay: RelayStatus | null;
  capture: string;
  /** Packets the proxy dropped, by reason. */
  drops: Record<string, number>;
  peers: PeerStatus[];
  skipped: SkippedStatus[];
  /** The last error of the reconcile loop, while it lasts. */
  error?: string;
}
