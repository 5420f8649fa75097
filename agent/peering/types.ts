/**
 * The planner's words. All data, no behaviour.
 *
 * @module
 */
import type { Alias, Stage } from "./crossing/mod.ts";

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
  /** This host is the VPC's WireGuard relay. */
  relay?: boolean;
  /** `ip:port` that STUN saw. */
  reflexive?: string;
  /** `[ip]:port` that STUN saw. */
  reflexive6?: string;
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
  /** Networks behind it that may be routed to it too; everything, when it is the exit node in use. */
  networks?: string[];
  /** It offers to be an exit node. */
  exitNode?: boolean;
  /** Usable `ip:port` on its own network. */
  local?: string;
  /** Usable `ip:port` seen from outside. */
  reflexive?: string;
  /** Usable `[ip]:port` seen from outside. */
  reflexive6?: string;
  symmetric: boolean;
  /** It is a WireGuard relay: it forwards for the whole VPC. */
  relay?: boolean;
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
export type MethodName =
  | "relay-node-self-direct-local"
  | "relay-node-self"
  | "relay-node-peer-direct-local"
  | "relay-node-peer"
  | "direct-local"
  | "reflexive"
  | "via-relay"
  | "via-derp-relay";

/**
 * A row of the planner's table: the outside address is tried over both IP versions, and is one
 * method to everybody else.
 */
export type MethodId = MethodName | "reflexive-ipv6";

/** Why a method was chosen, or that there is none. For programs; people get `reason`. */
export type PathCode =
  | "self-is-relay"
  | "peer-is-relay"
  | "same-nat"
  | "both-cone"
  | "both-ipv6"
  | "answered"
  | "vpc-relay"
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

/** What probes have found out about the ways to a peer. Times are `PlanInput.now`'s, ms. */
export interface Probed {
  /** It knows probes: they tell more than trying does. */
  speaks: boolean;
  /** Endpoints that have answered: when last, and how fast. */
  answered: ReadonlyMap<string, { at: number; rttMs: number }>;
  /** Endpoints that were asked in vain since then, while the peer was heard on another way. */
  silent: ReadonlyMap<string, number>;
  /** The last word of the peer on itself (`crossing/`), when it was first said, and when last. */
  told?: { word: number; since: number; at: number };
}

/** What probes shall find out about a peer. */
export interface PathProbes {
  /** It knows probes. */
  speaks: boolean;
  /** Endpoints that may be better than what is in use. */
  search: string[];
  /** The direct endpoint in use. */
  watch?: string;
  /** The loopback endpoint: the way through the relay. */
  relay?: string;
  /** There is no other way: that it is silent is told by longer silence, instead of a witness. */
  alone?: true;
  /** Traffic flows. */
  busy: boolean;
  /** What the peer is to be told of this host, once the plan has been carried out. */
  tell?: number;
  /** What it tells of itself matters now. */
  ask?: true;
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
  /** Prefixes that WireGuard routes to the peer. */
  allowedIps: string[];
  /** Those of them that are networks behind peers: they are routed apart from tunnel addresses. */
  networks?: string[];
  /** Persistent keepalive; short during a probe, so that an idle path shows life in time. */
  keepaliveSeconds: number;
  /** Another number than before: WireGuard's session with the peer is to be made anew. */
  session?: number;
  /** WireGuard has this peer; not so behind the VPC's relay, which has its prefixes. */
  configured: boolean;
  healthy: boolean;
  /** What to ask beside WireGuard. */
  probes: PathProbes;
  /** It is on its way from behind the VPC's relay or there: addresses have stand-ins. */
  crossing?: Crossing;
  /** What happened to the way to this peer, oldest first. */
  history: readonly PathEvent[];
}

/** Stand-ins for addresses between this host and a peer. */
export interface Crossing {
  /** Of this host's addresses, and of the peer's. */
  self: readonly Alias[];
  peer: readonly Alias[];
  /** What this host sends has them; what comes with them is taken in any case. */
  sending: boolean;
}

/** What can happen to the way to a peer. */
export type PathEventCode =
  /** Chosen as the first way there is. */
  | "chosen"
  /** It works. */
  | "healthy"
  /** Bytes leave and none come. */
  | "suspect"
  /** Given up: it never worked, or not for long. */
  | "failed"
  /** It cannot be used any more. */
  | "unusable"
  /** A better way is being tried. */
  | "probe"
  /** The better way works and is kept. */
  | "probe-kept"
  /** The better way does not work; back to this one. */
  | "probe-failed"
  /** WireGuard followed the peer here. */
  | "peer-moved"
  /** What the way depends on has changed. */
  | "device-changed"
  /** The control plane says that the peer is back. */
  | "peer-online";

/** One line of a path's history. */
export interface PathEvent {
  /** ms since the epoch */
  at: number;
  event: PathEventCode;
  /** The method it happened to. */
  method: MethodName | "none";
}

/** How bytes have moved, to notice a dead path before WireGuard does. */
export interface Traffic {
  rx: number;
  tx: number;
  /** When rx last grew, ms; the start of watching until then. */
  rxAt: number;
  /** When the counters were last looked at. */
  lookedAt: number;
  /** The two looks between which rx last grew. */
  grew?: { from: number; to: number };
  /** When more than handshakes and keepalives last flowed. */
  busyAt?: number;
  /** The handshake of then. */
  handshake?: number;
  /** tx when rx last grew. */
  txAtRx: number;
  /** When more than keepalives had been sent since, ms; undefined: it has not. */
  askedAt?: number;
}

/** What the planner remembers of one peer between passes. */
export interface PeerHistory {
  /** What the path depends on; when it changes the search starts anew. */
  fingerprint: string;
  /** What the control plane said last: coming online starts the search of a dead peer anew. */
  online: boolean;
  /** When the peer was first planned, ms. */
  since: number;
  method?: MethodId;
  /** The endpoint that has answered a probe; else the method's own. */
  endpoint?: string;
  /** The choice was the peer's: it moved and WireGuard followed. */
  adopted?: string;
  adoptedAt?: number;
  appliedAt: number;
  /** When it was last there, or something said that it may be, ms. */
  awaitedAt: number;
  /** rx at the first pass after the method was applied. */
  rxBase?: number;
  lastHealthyAt?: number;
  /** Since when it has been healthy without a break. */
  healthySince?: number;
  /** Methods that failed since the last reset. */
  failed: MethodId[];
  traffic?: Traffic;
  /** A better method is being tried while `from` was healthy; `tx`: bytes sent before. */
  probe?: { from: MethodId; startedAt: number; tx?: number };
  /** Probes in a row that led nowhere, or to a way that did not last. */
  probesFailed: number;
  /** When the search began anew because a device changed. */
  changedAt?: number;
  /** Number of the probing slot that was used last. */
  slot: number;
  /** It is the relay that forwards for the VPC. */
  carrier?: boolean;
  /** How often its session was thrown away, and since when it had been silent the last time. */
  session?: { number: number; silentSince: number };
  /** Behind that relay: a way of the peer's own, beside it. */
  beside?: { method: MethodId; endpoint?: string; since: number };
  /** On the way from one to the other; absent: there. */
  stage?: { at: Stage; since: number };
  /** Since when this host and the peer do not take what the other one sends. */
  apartSince?: number;
  /** What happened, oldest first; never changed in place. */
  events: readonly PathEvent[];
}
