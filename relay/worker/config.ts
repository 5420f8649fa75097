/** What a worker is told, as plain data: it goes to another process as JSON. */
import type { AdmissionConfig } from "../admission/mod.ts";
import type { AlpnChallenge, CertificateStatus } from "../cert/mod.ts";
import type { Limits } from "../server/mod.ts";
import type { RelaySnapshot } from "../state/mod.ts";
import type { StunCounters } from "../stun/server.ts";

/** An empty hostname is every address; port 0 is any free port. */
export interface ListenAddress {
  hostname: string;
  port: number;
}

/** PEM texts. */
export interface ServedCertificate {
  /** Leaf, intermediates, and the meta certificate at the end. */
  chain: string;
  key: string;
}

/** Times of TCP itself, in ms; 0 leaves the system's own. */
export interface SocketTimes {
  keepAliveMs: number;
  userTimeoutMs: number;
}

/** What one client may send, in bytes of frames. */
export interface RateLimit {
  bytesPerSecond: number;
  burst: number;
}

/** The mesh, as a worker takes part in it. */
export interface MeshConfig {
  /** 64 hex digits. */
  key: string;
  /** Entries of `--mesh-with`. */
  with: string[];
  /** PEM texts. */
  caCerts: string[];
}

export interface WorkerConfig {
  /** Unique among the workers of a relay and of its replacement. */
  name: string;
  addr: ListenAddress;
  /** The relay's identity, 64 hex digits. */
  privateKey: string;
  /** Undefined: plain HTTP. */
  certificate: ServedCertificate | undefined;
  /** Overrides of the time and size limits. An endless time is left out on the way, as JSON's null. */
  limits: Partial<Record<keyof Limits, number | null>>;
  times: SocketTimes;
  acceptLimit: { perSecond: number; burst: number } | undefined;
  /** Most connections of one address, 0 for no limit; undefined for the usual one. */
  perAddress: number | undefined;
  derp: boolean;
  admission: AdmissionConfig | undefined;
  /** The list for `admission.keys`, 64 hex digits each, once it is known. */
  keys: string[] | undefined;
  rate: RateLimit | undefined;
  mesh: MeshConfig | undefined;
  /** Directory in which siblings meet; undefined to meet none yet. */
  siblings: string | undefined;
  pages: PagesConfig;
}

/** What the HTTP pages say and to whom. */
export interface PagesConfig {
  version: string;
  hostname: string;
  home: string;
  debugNetworks: string[];
  debugKeyFile: string | undefined;
  bootstrapDns: { published: string[]; unpublished: string[] };
}

/** What the pages of one worker show of the whole relay. */
export interface RelayState {
  snapshot: RelaySnapshot;
  stun: StunCounters | undefined;
  certificate: CertificateStatus | undefined;
}

/** How a worker's pages learn about the whole relay. */
export interface WholeRelay {
  state(): Promise<RelayState>;
  /** Problems of all workers' tables; empty when all is well. */
  check(): Promise<string[]>;
}

/** How clients are asked to reconnect; all in ms. */
export interface Restart {
  reconnectMs: number;
  tryMs: number;
  /** Each client is told its own random part of this beside `reconnectMs`. */
  smearMs: number;
}

/** One worker, in this process or another. All calls reject when the worker has ended. */
export interface Worker {
  readonly name: string;
  /** Where it listens, with the real port. */
  readonly address: ListenAddress;
  /** Settles, with the reason, when the worker is no more. Never rejects. */
  readonly ended: Promise<string>;
  /** Joins the siblings that meet in a directory. */
  join(directory: string): Promise<void>;
  setCertificate(certificate: ServedCertificate): Promise<void>;
  /** Answers a CA's TLS-ALPN-01 challenge beside everything else; undefined ends that. */
  setChallenge(challenge: AlpnChallenge | undefined): Promise<void>;
  setKeys(hex: string[]): Promise<void>;
  setRate(rate: RateLimit | undefined): Promise<void>;
  /** Reads its files again: allow-list, debug key. */
  reload(): Promise<void>;
  snapshot(): Promise<RelaySnapshot>;
  /** Problems of its tables; empty when all is well. */
  check(): Promise<string[]>;
  /** Takes no new connections; resolves when that is so. Those that there are live on. */
  stopAccepting(): Promise<void>;
  /** Tells all clients; returns how many. */
  announceRestart(restart: Restart): Promise<number>;
  /** Ends everything. */
  end(): Promise<void>;
}
