/**
 * What the agent changes on its host beside WireGuard: firewall, routing, the hosts file. Each is a
 * room of its own behind {@link HostRoom}; the daemon calls them all around each pass and closes
 * them at its end.
 *
 * @module
 */
import type { Device, SecurityGroup, Vpc } from "../../control/api/types.ts";
import type { PeerPlan, Self } from "../peering/mod.ts";

/** Mark of the agent's own packets (WireGuard's, STUN's): they leave outside the tunnel. */
export const UNDERLAY_MARK = 0x6e640000;
/** Bits of a mark that are ours. */
export const UNDERLAY_MASK = 0xffff0000;

/** A server that must stay reachable outside the tunnel, whatever routes peers ask for. */
export interface UnderlayServer {
  /** Host name or IP address. */
  host: string;
  port: number;
  /** IP that is dialled instead of resolving `host`. */
  address?: string;
}

/** What a pass knows. */
export interface HostFacts {
  /** Of the WireGuard device. */
  interfaceName: string;
  self: Self;
  /** Own row of the control plane. */
  device: Device;
  vpc: Vpc;
  /** The VPC's devices, own one included. */
  devices: readonly Device[];
  securityGroups: readonly SecurityGroup[];
  /** The whole backlog of the control plane has been seen: what is absent is really absent. */
  synced: boolean;
  /** Of this pass. */
  plans: readonly PeerPlan[];
  /** DERP relays in use or about to be. `pin`: the name must resolve to `address` on this host. */
  relays: readonly (UnderlayServer & { pin?: boolean })[];
  /** Control plane, the issuer that users sign in at, and STUN servers. */
  servers: readonly UnderlayServer[];
}

/** One kind of change on the host. */
export interface HostRoom {
  /** For logs and status. */
  readonly name: string;
  /** Removes what a crashed agent left; called once, before anything else. */
  repair?(): Promise<void>;
  /**
   * Called before WireGuard gets the pass's peers: what protects or must be there first. Idempotent,
   * cheap when nothing changed. When it throws, WireGuard has no peers until it does not: a room
   * whose trouble may pass by itself waits a moment before it throws.
   */
  prepare?(facts: HostFacts): Promise<void>;
  /** Called after WireGuard has them. Idempotent, cheap when nothing changed. */
  apply?(facts: HostFacts): Promise<void>;
  /** What it did, for status: one line each. Problems a person should know come first. */
  notes(): readonly string[];
  /** Leaves the host as it was found. May be called again. */
  close(): Promise<void>;
  /** Called after that when WireGuard's interface is gone, and only then: what guarded it goes last. */
  release?(): Promise<void>;
}
