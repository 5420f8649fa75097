/**
 * What one way to drive WireGuard on one system has to offer; `device.ts` makes a device of it.
 *
 * @module
 */

/** One peer of a change; what is absent stays as it is. */
export interface PeerSet {
  /** hex */
  publicKey: string;
  remove?: boolean;
  /** Do nothing when the device does not have this peer. */
  updateOnly?: boolean;
  endpoint?: string;
  keepaliveSeconds?: number;
  /**
   * Go through 0 to the interval. Only the step from 0 makes WireGuard send: a keepalive where there
   * is a session, else a handshake.
   */
  wake?: boolean;
  /** The peer loses allowed IPs: forget those that are not in `allowedIps`. */
  replaceAllowedIps?: boolean;
  /** All that the peer is to have. */
  allowedIps?: string[];
}

/** One peer as WireGuard has it. */
export interface PeerState {
  /** hex */
  publicKey: string;
  endpoint?: string;
  /** Milliseconds since the epoch; 0: never. */
  lastHandshake: number;
  rxBytes: number;
  txBytes: number;
  keepaliveSeconds: number;
  allowedIps: string[];
}

/** The state of an interface. Private and preshared keys are dropped while it is read. */
export interface TunnelState {
  /** 0: not listening. */
  listenPort: number;
  fwmark: number;
  peers: PeerState[];
}

/** An interface that is up, with its port, addresses and MTU, and nothing else. */
export interface Backend {
  /** For people: `kernel`, `wireguard-go`, `wireguard-nt`. */
  readonly driver: string;
  /** How the processor is had, for people; undefined where that is not ours to say. */
  readonly scheduling?: string;
  /** The interface's real name. */
  readonly name: string;
  readonly listenPort: number;
  /** False: the interface goes without IPv6, and so do its routes. */
  readonly ipv6: boolean;
  read(): Promise<TunnelState>;
  /** Applies changes of peers, in their order. */
  apply(changes: PeerSet[]): Promise<void>;
  /**
   * Adds routes to the interface, then removes some that it added. A route of the same prefix on
   * another interface is left alone. Returns why each refused one of `add` was refused.
   */
  changeRoutes(add: string[], remove: string[]): Promise<Map<string, string>>;
  /** Networks that the host is in by other interfaces, to be kept clear of. Cheap. */
  neighbours(): Promise<Network[]>;
  /** As of `WireGuardDevice`. */
  carried?(): number | undefined;
  /** Resolves with the reason when the interface or what drives it ends by itself, or at `close()`. */
  readonly exited: Promise<string>;
  /** Removes the interface and all that belongs to it. Called once. */
  close(): Promise<void>;
}

/** A network that the host is directly in. */
export interface Network {
  /** One spelling, as from `parseAllowedIp`. */
  cidr: string;
  interfaceName: string;
}
