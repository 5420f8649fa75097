/**
 * What the daemon uses of other rooms, as interfaces, so that tests can stand in for them.
 *
 * @module
 */
import type { DeviceConfig, WireGuardDevice } from "../wireguard/mod.ts";
import type { Api } from "../api/mod.ts";

/** Where a relay is; see the proxy room. */
export interface RelayAddress {
  region?: number;
  host: string;
  port: number;
  address?: string;
}

/** What the proxy reports. */
export interface ProxyReport {
  capture: "portable" | "linux";
  relay: {
    host: string;
    port: number;
    state: "connecting" | "connected" | "closed";
    since: string;
    serverKey?: string;
    error?: string;
    reconnects: number;
    rttMs?: number;
  };
  peers: {
    publicKey: string;
    endpoint: string;
    txPackets: number;
    txBytes: number;
    rxPackets: number;
    rxBytes: number;
    gone?: string;
  }[];
  drops: Record<string, number>;
}

/** What a proxy is made with. */
export interface ProxySettings {
  privateKey: Uint8Array;
  wireguardPort: number;
  relay: RelayAddress;
  caCerts?: string[];
  assigned?: Record<string, string>;
  onAssigned?: (assigned: Record<string, string>) => void;
  capture?: "auto" | "portable" | "linux";
}

/** The proxy between WireGuard and the relay. */
export interface RelayProxy {
  start(): Promise<void>;
  addPeer(key: Uint8Array): Promise<string>;
  removePeer(key: Uint8Array): Promise<void>;
  setRelay(relay: RelayAddress, caCerts?: string[]): void;
  setWireguardPort(port: number): void;
  status(): ProxyReport;
  onChange?: (report: ProxyReport) => void;
  close(): Promise<void>;
}

/** What STUN found; see the netcheck room. */
export interface ProbeReport {
  reflexive?: string;
  symmetric: boolean | undefined;
  errors: string[];
}

/** The other rooms. */
export interface Doors {
  api: Api;
  cleanLeftover(name: string): Promise<boolean>;
  openDevice(config: DeviceConfig): Promise<WireGuardDevice>;
  newProxy(settings: ProxySettings): RelayProxy;
  probe(options: {
    port: number;
    servers: string[];
    timeoutMs: number;
    localAddress?: string;
  }): Promise<ProbeReport>;
  /** IPv4 address published as the local endpoint. */
  localEndpoint(override?: string): Promise<string>;
  lock(path: string): Promise<{ release(): void }>;
  /** A free UDP port: the wanted one if it is free, else (wanted 0 or taken) undefined or any. */
  freeUdpPort(wanted: number): Promise<number | undefined>;
  now(): number;
}
