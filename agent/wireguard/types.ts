/**
 * What the agent asks of a WireGuard device, whatever drives it.
 *
 * @module
 */

import type { RealtimeMode } from "../../relay/net/mod.ts";

/** One peer as the agent wants it. */
export interface PeerConfig {
  /** Curve25519 public key, base64 (44 characters). */
  publicKey: string;
  /** `ip:port` or `[ipv6]:port`; absent: wait for the peer to speak first (an endpoint WireGuard already has stays). */
  endpoint?: string;
  /** Prefixes in CIDR form; a bare address means the address alone. */
  allowedIps: string[];
  /**
   * Which of the allowed IPs the device itself routes; absent: all. A default route can be allowed
   * only when it is not among these: whoever asks for it routes it, in a table of its own.
   */
  routes?: string[];
  /** Persistent keepalive, 0 (off) to 65535 seconds. */
  keepaliveSeconds: number;
  /**
   * Another number than before: the session is thrown away and a handshake made at once. By itself
   * WireGuard sends into a session that the other side has lost for 15 s. 0 when left out.
   */
  session?: number;
}

/** One peer as the device reports it. */
export interface PeerStats {
  /** base64 */
  publicKey: string;
  /** Where WireGuard sends now; it follows the peer's last authenticated packet. */
  endpoint?: string;
  /** Milliseconds since the epoch; absent: never. */
  lastHandshake?: number;
  rxBytes: number;
  txBytes: number;
  allowedIps: string[];
}

/** What a device is opened with. */
export interface DeviceConfig {
  /** Wanted interface name, by the rules of Linux (at most 15 characters). */
  name: string;
  /** 32 bytes. */
  privateKey: Uint8Array;
  /** UDP port; 0 picks a free one. */
  listenPort: number;
  /** Tunnel addresses in CIDR form; a bare IPv4 address means /32, a bare IPv6 address /64. */
  addresses: string[];
  /** Bytes, 576 to 65535; below 1280 there is no IPv6. Always set: never left to be guessed from a loopback endpoint. */
  mtu: number;
  /**
   * Firewall mark of WireGuard's own packets, 32 bits (Linux), by which rules can keep them out of
   * the tunnel; absent or 0: none.
   */
  mark?: number;
  /** What drives it; absent: `auto`, the kernel where it can, else wireguard-go. */
  driver?: "auto" | "kernel" | "wireguard-go";
  /** Whether wireguard-go and this process get the real-time class (Linux); absent: `off`. */
  realtime?: RealtimeMode;
  /**
   * The VPC's ranges. An interface is not opened while the host is in one of them by another
   * interface: the routes of peers would cut it off from its neighbours.
   */
  ranges?: string[];
}

/** An open WireGuard interface. */
export interface WireGuardDevice {
  /** The real interface name: that of the system where it gives the names (macOS: `utunN`). */
  readonly name: string;
  /** What drives it, for people: `kernel`, `wireguard-go`, `wireguard-nt`. */
  readonly driver: string;
  /** How the packet path is scheduled, for people; undefined where that is not ours to say. */
  readonly scheduling?: string | undefined;
  /** The UDP port it really listens on. */
  readonly listenPort: number;
  /**
   * Makes the device have exactly these peers, and the routes that their allowed IPs ask for. What
   * has not changed is not touched; a changed endpoint keeps the session and sends at once. A
   * malformed peer or allowed IP is left out and logged: one bad peer never stops the others.
   */
  setPeers(peers: PeerConfig[]): Promise<void>;
  stats(): Promise<PeerStats[]>;
  /**
   * Packets that the tunnel has carried both ways, without WireGuard's own: keepalives are none.
   * Cheap. Undefined where that cannot be known.
   */
  carried?(): number | undefined;
  /**
   * Resolves with the reason when the daemon dies or the interface goes by itself; never after
   * `close()`.
   */
  readonly exited: Promise<string>;
  /** Removes interface, routes, socket and daemon. May be called again. */
  close(): Promise<void>;
}
