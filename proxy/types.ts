/** What a proxy is made with, and what it tells. */
import type { RelayAddress } from "./connection/mod.ts";
import type { RelayStatus } from "./client/mod.ts";
import type { ListedRelay } from "./relays/mod.ts";

/** The port of every loopback endpoint, unless another is chosen. */
export const DEFAULT_PORT = 9002;

/** Makes addresses of 127.0.0.0/8 usable, on systems that have not the whole of it. */
export interface LoopbackAddresses {
  add(address: string): Promise<void>;
  /** Gives up one that it made usable. */
  remove(address: string): Promise<void>;
}

/** What a proxy needs. */
export interface ProxyOptions {
  /** WireGuard's private key, 32 bytes: the identity at the relay. */
  privateKey: Uint8Array;
  /** WireGuard's listen port on this host. */
  wireguardPort: number;
  /** Port of the loopback endpoints. Default {@linkcode DEFAULT_PORT}. */
  port?: number;
  /** The relay to begin with; {@linkcode Proxy.setRelays} tells of others. */
  relay: RelayAddress;
  /** PEM texts of authorities trusted for relays beside the system's. */
  caCerts?: string[];
  /** Addresses of an earlier run: base64 key to 127.a.b.c. What cannot be used is left out. */
  assigned?: Record<string, string>;
  /** The addresses changed: keep them for the next run. */
  onAssigned?: (assigned: Record<string, string>) => void;
  /** Asked before an address is bound, and after. Left out where the system takes all of them. */
  loopback?: LoopbackAddresses;
  /** How packets are captured. Default auto. */
  capture?: "auto" | "portable" | "linux";
}

/** What a proxy is doing. */
export interface ProxyStatus {
  capture: "portable" | "linux";
  /** The home relay. */
  relay: RelayStatus;
  /** Every relay of the list in its order, and those that are being left. */
  relays: ListedRelay[];
  peers: {
    /** Base64. */
    publicKey: string;
    /** The loopback endpoint, `127.a.b.c:port`. */
    endpoint: string;
    /** Host name of the relay where it was heard; left out while that is not known. */
    relay?: string;
    /** From WireGuard to the relay. */
    txPackets: number;
    txBytes: number;
    /** From the relay to WireGuard. */
    rxPackets: number;
    rxBytes: number;
    /** Set when the relay said that the peer is not there, until it is heard again. */
    gone?: string;
  }[];
  /** Packets thrown away, by reason; never reset. */
  drops: Record<string, number>;
}
