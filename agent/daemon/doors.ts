/**
 * What the daemon uses of other rooms, as one object, so that tests can stand in for them.
 *
 * @module
 */
import type { Proxy, ProxyOptions, ProxyStatus } from "../../proxy/mod.ts";
import type { Api } from "../api/mod.ts";
import type { ProbeOptions, ProbeResult } from "../netcheck/mod.ts";
import type { DeviceConfig, WireGuardDevice } from "../wireguard/mod.ts";

/** The proxy between WireGuard and the relay, as far as the daemon uses it. */
export interface RelayProxy
  extends
    Pick<Proxy, "start" | "addPeer" | "removePeer" | "setRelay" | "setWireguardPort" | "close"> {
  status(): ProxyStatus;
  onChange?: (status: ProxyStatus) => void;
}

/** The other rooms. */
export interface Doors {
  api: Api;
  cleanLeftover(name: string): Promise<boolean>;
  openDevice(config: DeviceConfig): Promise<WireGuardDevice>;
  newProxy(options: ProxyOptions): RelayProxy;
  probe(options: ProbeOptions): Promise<Pick<ProbeResult, "reflexive" | "symmetric" | "errors">>;
  /** Address published as the local endpoint. */
  localEndpoint(override?: string): Promise<string>;
  lock(path: string): Promise<{ release(): void }>;
  /** The wanted UDP port if it is free (0: any free one), else undefined. */
  freeUdpPort(wanted: number): Promise<number | undefined>;
  /** ms since the epoch */
  now(): number;
}
