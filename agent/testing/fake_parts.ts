/**
 * WireGuard, proxy and measuring for tests of the daemon: they keep what they were told, in order.
 *
 * @module
 */
import type { ProxyOptions, ProxyStatus, RelayAddress } from "../../proxy/mod.ts";
import { keyToBase64 } from "../../relay/derp/mod.ts";
import type { Api } from "../api/mod.ts";
import type { Doors, NatWatcher, RelayProxy } from "../daemon/mod.ts";
import { freeUdpPort } from "../daemon/mod.ts";
import type { NatView, NatWatchOptions, NatWatchStatus } from "../netcheck/mod.ts";
import type { HostRoom } from "../host/mod.ts";
import { lockFile } from "../platform/mod.ts";
import type { DeviceConfig, PeerConfig, PeerStats, WireGuardDevice } from "../wireguard/mod.ts";

/** A WireGuard device in memory. */
class FakeDevice implements WireGuardDevice {
  readonly name: string;
  readonly driver = "fake";
  readonly listenPort: number;
  readonly config: DeviceConfig;
  peers: PeerConfig[] = [];
  closed = false;
  /** Thrown by the next call of `stats`. */
  failure: Error | undefined;
  /** What `stats` says, beside the peers that were set. */
  seen = new Map<string, Partial<PeerStats>>();
  readonly #exit = Promise.withResolvers<string>();
  readonly #log: string[];

  constructor(config: DeviceConfig, log: string[]) {
    this.config = config;
    this.name = config.name;
    this.listenPort = config.listenPort;
    this.#log = log;
  }

  get exited(): Promise<string> {
    return this.#exit.promise;
  }

  /** The daemon dies. */
  die(reason: string): void {
    this.closed = true;
    this.#exit.resolve(reason);
  }

  setPeers(peers: PeerConfig[]): Promise<void> {
    if (this.closed) return Promise.reject(new Error("the device is closed"));
    for (const peer of peers) {
      if (!this.peers.some((p) => p.publicKey === peer.publicKey)) {
        this.#log.push(`set ${peer.endpoint}`);
      }
    }
    this.peers = peers;
    return Promise.resolve();
  }

  stats(): Promise<PeerStats[]> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.closed) return Promise.reject(new Error("the device is closed"));
    return Promise.resolve(this.peers.map(({ publicKey, allowedIps }) => ({
      publicKey,
      allowedIps,
      rxBytes: 0,
      txBytes: 0,
      ...this.seen.get(publicKey),
    })));
  }

  close(): Promise<void> {
    if (!this.closed) this.#log.push("device closed");
    this.closed = true;
    return Promise.resolve();
  }
}

/** A proxy in memory: hands out 127.0.0.3, 127.0.0.4, … */
class FakeProxy implements RelayProxy {
  readonly options: ProxyOptions;
  readonly endpoints = new Map<string, string>();
  /** The first of each list that was another one. */
  relays: RelayAddress[];
  listed: readonly RelayAddress[];
  state: "connecting" | "connected" | "closed" = "connecting";
  onChange?: () => void;
  /** Keys in base64. */
  readonly present = new Set<string>();
  homeSince: number | undefined;
  /** Keys that cannot be added. */
  refuses = new Set<string>();
  readonly #assigned: Record<string, string>;
  readonly #log: string[];

  constructor(options: ProxyOptions, log: string[]) {
    this.options = options;
    this.relays = [options.relay];
    this.listed = this.relays;
    this.#assigned = { ...options.assigned };
    this.#log = log;
  }

  start(): Promise<void> {
    this.#log.push("proxy started");
    this.state = "connected";
    return Promise.resolve();
  }

  addPeer(key: Uint8Array): Promise<string> {
    const name = keyToBase64(key);
    if (this.refuses.has(name)) return Promise.reject(new Error("no address left"));
    const taken = Object.keys(this.#assigned).length;
    if (this.#assigned[name] === undefined) {
      this.#assigned[name] = `127.0.0.${3 + taken}`;
      this.options.onAssigned?.({ ...this.#assigned });
    }
    const endpoint = `${this.#assigned[name]}:9002`;
    this.endpoints.set(name, endpoint);
    this.#log.push(`proxy has ${endpoint}`);
    return Promise.resolve(endpoint);
  }

  removePeer(key: Uint8Array): Promise<void> {
    this.endpoints.delete(keyToBase64(key));
    return Promise.resolve();
  }

  setRelays(relays: readonly RelayAddress[]): void {
    this.listed = relays;
    const [first] = relays as [RelayAddress];
    if (JSON.stringify(first) !== JSON.stringify(this.relays.at(-1))) this.relays.push(first);
  }

  moved(): void {
    this.#log.push("proxy moved");
  }

  setWireguardPort(): void {}

  get home(): string {
    return this.relays.at(-1)!.host;
  }

  status(): ProxyStatus {
    const { host, port } = this.relays.at(-1)!;
    return {
      capture: "portable",
      relay: { host, port, state: this.state, since: "2026-01-01T00:00:00Z", reconnects: 0 },
      relays: this.listed.map(({ host, port }, i) => ({
        ...{ host, port, reconnects: 0 },
        role: i === 0 ? "home" : "idle",
        state: i === 0 ? this.state : "idle",
      })),
      peers: [...this.endpoints].map(([publicKey, endpoint]) => ({
        publicKey,
        endpoint,
        txPackets: 1,
        txBytes: 2,
        rxPackets: 3,
        rxBytes: 4,
      })),
      drops: {},
    };
  }

  close(): Promise<void> {
    this.state = "closed";
    this.#log.push("proxy closed");
    return Promise.resolve();
  }
}

/** The measuring of the NAT: says what a test tells it to. */
class FakeNatWatch implements NatWatcher {
  view: NatView;
  readonly options: NatWatchOptions;

  constructor(options: NatWatchOptions) {
    this.options = options;
    this.view = options.initial;
  }

  /** The NAT is another one. */
  change(view: NatView): void {
    this.view = view;
    this.options.onChange(view);
  }

  poke(): void {}

  status(): NatWatchStatus {
    return {
      method: "raw-socket",
      period: 20_000,
      rounds: 1,
      views: { 4: {}, 6: {} },
      servers: [],
    };
  }

  run(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}

/** Doors with fakes behind them, and what went through. */
export class FakeParts {
  readonly log: string[] = [];
  readonly devices: FakeDevice[] = [];
  readonly proxies: FakeProxy[] = [];
  readonly natWatches: FakeNatWatch[] = [];
  rooms: HostRoom[] = [];
  localIp = "192.168.100.2";
  nat: { reflexive?: string; reflexive6?: string; symmetric: boolean | undefined } = {
    reflexive: "203.0.113.100:40000",
    symmetric: true,
  };
  /** Thrown by the next `openDevice`. */
  openFailures: Error[] = [];

  get device(): FakeDevice {
    return this.devices.at(-1)!;
  }

  get natWatch(): FakeNatWatch {
    return this.natWatches.at(-1)!;
  }

  get proxy(): FakeProxy {
    return this.proxies.at(-1)!;
  }

  doors(api: Api): Doors {
    return {
      api,
      cleanLeftover: (name) => {
        this.log.push(`clean ${name}`);
        return Promise.resolve(false);
      },
      openDevice: (config) => {
        const failure = this.openFailures.shift();
        if (failure !== undefined) return Promise.reject(failure);
        this.log.push("device opened");
        this.devices.push(new FakeDevice(config, this.log));
        return Promise.resolve(this.device);
      },
      newProxy: (options) => {
        this.proxies.push(new FakeProxy(options, this.log));
        return this.proxy;
      },
      probe: () => {
        this.log.push("probe");
        return Promise.resolve({ ...this.nat, errors: [] });
      },
      localEndpoint: (override) => Promise.resolve(override ?? this.localIp),
      natWatch: (options) => {
        this.natWatches.push(new FakeNatWatch(options));
        return this.natWatch;
      },
      rooms: this.rooms,
      lock: lockFile,
      freeUdpPort,
      now: Date.now,
    };
  }
}
