/**
 * The planner's words. All data, no behaviour.
 *
 * @module
 */

/** This host, as the planner needs to know it. */
export interface Self {
  /** Device id; undefined before the first registration. */
  id?: string;
  /** base64 */
  publicKey: string;
  /** NAT kind as published: symmetric when measured so, forced, or when nothing could be measured. */
  symmetric: boolean;
  /** `--relay-only`. */
  relayOnly: boolean;
  /** `ip:port` that STUN saw. */
  reflexive?: string;
  /** `ip:port` on the local network. */
  local?: string;
  tunnelIpv4?: string;
  tunnelIpv6?: string;
  /** The VPC's ranges, CIDR. */
  ipv4Cidr: string;
  ipv6Cidr: string;
}

/** Another device, checked: everything in it may be used. */
export interface Peer {
  id: string;
  hostname: string;
  /** base64, canonical */
  publicKey: string;
  tunnelIpv4?: string;
  tunnelIpv6?: string;
  /** What may be routed to it: its tunnel addresses, as host prefixes. */
  allowedIps: string[];
  /** Usable `ip:port` on its own network. */
  local?: string;
  /** Usable `ip:port` seen from outside. */
  reflexive?: string;
  symmetric: boolean;
  online: boolean;
  /** What was left out of this peer, and why. */
  notes: string[];
}

/** A device that is no peer of ours, and why. */
export interface Skipped {
  id: string;
  hostname: string;
  publicKey: string;
  code:
    | "bad-key"
    | "duplicate-key"
    | "no-tunnel-address"
    | "relay-device"
    | "relay-undecided"
    | "too-many-peers";
  reason: string;
}

/** Ways to reach a peer, best first. Names are Nexodus'. */
export type MethodName = "direct-local" | "reflexive" | "via-derp-relay";

/** Why a method was chosen, or that there is none. For programs; people get `reason`. */
export type PathCode =
  | "same-nat"
  | "both-cone"
  | "relay-only"
  | "both-symmetric"
  | "self-symmetric"
  | "peer-symmetric"
  | "no-endpoint"
  | "direct-failed"
  | "peer-moved"
  | "probing"
  | "no-method";

/** What WireGuard says about a peer. */
export interface Observed {
  endpoint?: string;
  /** ms since the epoch */
  lastHandshake?: number;
  rxBytes: number;
  txBytes: number;
}

/** The way to one peer for now. */
export interface PeerPlan {
  peer: Peer;
  method: MethodName | "none";
  code: PathCode;
  /** One sentence for people. */
  reason: string;
  /** What WireGuard gets; undefined: wait for the peer to speak. */
  endpoint?: string;
  healthy: boolean;
}

/** How bytes have moved, to notice a dead path before WireGuard does. */
export interface Traffic {
  rx: number;
  tx: number;
  /** When rx last grew, ms; the start of watching until then. */
  rxAt: number;
  /** tx when rx last grew. */
  txAtRx: number;
}

/** What the planner remembers of one peer between passes. */
export interface PeerHistory {
  /** What the path depends on; when it changes everything starts anew. */
  fingerprint: string;
  /** What the control plane said last: coming online starts the search of a dead peer anew. */
  online: boolean;
  method?: MethodName;
  /** The choice was the peer's: it moved and WireGuard followed. */
  adopted?: string;
  appliedAt: number;
  /** rx at the first pass after the method was applied. */
  rxBase?: number;
  lastHealthyAt?: number;
  /** Methods that failed since the last reset. */
  failed: MethodName[];
  traffic?: Traffic;
  /** A better method is being tried while `from` was healthy. */
  probe?: { from: MethodName; startedAt: number };
  /** Probes in a row that led nowhere. */
  probesFailed: number;
  /** Number of the probing slot that was used last. */
  slot: number;
}
