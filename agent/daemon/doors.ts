/**
 * What the daemon uses of other rooms, as one object, so that tests can stand in for them.
 *
 * @module
 */
import type { Proxy, ProxyOptions, ProxyStatus } from "../../proxy/mod.ts";
import type { Api } from "../api/mod.ts";
import type { Controls } from "../ctl/mod.ts";
import type { HostRoom } from "../host/mod.ts";
import type {
  NatWatch,
  NatWatchOptions,
  PathProber,
  PathProberOptions,
  ProbeOptions,
  ProbeResult,
} from "../netcheck/mod.ts";
import type { LoginPrompt } from "../onboarding/mod.ts";
import type { NetworkWish } from "../peering/mod.ts";
import type { LoopbackAliases } from "../platform/mod.ts";
import type { DeviceConfig, WireGuardDevice } from "../wireguard/mod.ts";

/** The proxy between WireGuard and the relay, as far as the daemon uses it. */
export interface RelayProxy extends
  Pick<
    Proxy,
    | "start"
    | "addPeer"
    | "removePeer"
    | "setRelays"
    | "moved"
    | "setWireguardPort"
    | "close"
    | "home"
    | "homeSince"
    | "present"
  > {
  status(): ProxyStatus;
  onChange?: () => void;
}

/** What a probe tells the daemon. */
export type ProbeFacts =
  & Pick<ProbeResult, "reflexive" | "reflexive6" | "symmetric" | "errors">
  & Partial<Pick<ProbeResult, "servers">>;

/** Measures the NAT while WireGuard runs. */
export type NatWatcher = Pick<NatWatch, "view" | "status" | "poke" | "run">;

/** Probes the paths to peers beside WireGuard. */
export type PathProbing = Pick<PathProber, "follow" | "probed" | "moved" | "run" | "refused">;

/** The other rooms. */
export interface Doors {
  api: Api;
  cleanLeftover(name: string): Promise<boolean>;
  openDevice(config: DeviceConfig): Promise<WireGuardDevice>;
  newProxy(options: ProxyOptions): RelayProxy;
  /** Addresses for the proxy's endpoints; left out where the system takes all of 127.0.0.0/8. */
  loopback?: LoopbackAliases;
  probe(options: ProbeOptions): Promise<ProbeFacts>;
  /** Made once WireGuard has its port. */
  natWatch(options: NatWatchOptions): NatWatcher;
  /** Made once WireGuard has its port; without it ways are found by trying them. */
  pathProber?(options: PathProberOptions): PathProbing;
  /** Address published as the local endpoint. */
  localEndpoint(override?: string): Promise<string>;
  /** Shows what a person has to do to let this host in; undefined: nothing any more. */
  showLogin?(prompt: LoginPrompt | undefined): void;
  /** Asks for a user's password on the terminal. */
  askPassword?(username: string, signal: AbortSignal): Promise<string>;
  /** What the control socket lets tools do beside asking. */
  controls?: Omit<Controls, "describe">;
  /** What is changed on the host beside WireGuard. */
  rooms: readonly HostRoom[];
  /** Addresses can have stand-ins on this host. */
  crosses?(): boolean;
  /** What this host wants of networks behind peers. */
  networks?(): NetworkWish;
  lock(path: string): Promise<{ release(): void }>;
  /** The wanted UDP port if it is free (0: any free one), else undefined. */
  freeUdpPort(wanted: number): Promise<number | undefined>;
  /** ms since the epoch */
  now(): number;
}
