/**
 * Where this host is: its address in the local network and behind the NAT, and the NAT's kind, from
 * before WireGuard is there until the agent ends. What changes is published.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Device } from "../../../control/api/types.ts";
import type { NetcheckStatus } from "../../ctl/mod.ts";
import { reasonOf } from "../../errors.ts";
import { UNDERLAY_MARK } from "../../host/mod.ts";
import { openRawPort, SharedPort } from "../../netcheck/mod.ts";
import type { NatFacts } from "../../onboarding/mod.ts";
import { contains, parsePrefix, rangesOf } from "../../peering/mod.ts";
import type { AgentConfig } from "../config.ts";
import type { Doors, NatWatcher } from "../doors.ts";
import { Paths } from "./paths.ts";
import { measureHost, type Remembered } from "./measure.ts";
import { type OwnRow, Publisher, type PublisherTimes, type Whereabouts } from "./publisher.ts";
import { netcheckStatus } from "./status.ts";
import { endpointOf, isEndpoint, isSymmetric, whereaboutsOf } from "./whereabouts.ts";

const log = getLogger(["nexd", "agent"]);

/** What it needs. */
export interface OutsideParts {
  config: Pick<
    AgentConfig,
    | "listenPort"
    | "stunServers"
    | "stunInterval"
    | "localEndpointIp"
    | "interfaceName"
    | "relayOnly"
  >;
  doors: Pick<
    Doors,
    "api" | "freeUdpPort" | "probe" | "localEndpoint" | "natWatch" | "pathProber"
  >;
  /** WireGuard's keys, 32 bytes each; asked for when it runs. */
  keys(): { privateKey: Uint8Array; publicKey: Uint8Array };
  /** Steady time, ms. */
  now(): number;
  /** Ranges of the VPC, CIDR. */
  tunnelRanges(): string[];
  /** Something is other than it was; {@link Outside.facts} tells. */
  onChange(): void;
  /** Connections of before may be dead without knowing it: the address is another one. */
  onMoved(): void;
  /** Probes have found something out; {@link Outside.paths} tells. */
  onPaths(): void;
  times?: Partial<PublisherTimes>;
}

/** See the top of the file. */
export class Outside {
  readonly #parts: OutsideParts;
  readonly #publisher: Publisher;
  #port = 0;
  #nat: NatFacts = {};
  #localIp: string | undefined;
  /** What the last registration said, whether it succeeded or not. */
  #said: Whereabouts | undefined;
  #servers: Awaited<ReturnType<typeof measureHost>>["servers"] = [];
  #watch: NatWatcher | undefined;
  #paths: Paths | undefined;
  #asking: Promise<void> | undefined;

  constructor(parts: OutsideParts) {
    this.#parts = parts;
    const { api } = parts.doors;
    this.#publisher = new Publisher({
      send: (token, id, said, signal) => api.updateDevice(token, id, { ...said }, signal),
      ...(parts.times === undefined ? {} : { times: parts.times }),
    });
  }

  /** The NAT as it is known. */
  get nat(): NatFacts {
    return this.#nat;
  }

  /** WireGuard's UDP port. */
  get port(): number {
    return this.#port;
  }

  set port(port: number) {
    if (port === this.#port) return;
    this.#port = port;
    this.#changed();
  }

  /** What the planner needs to know of it. */
  get facts(): { symmetric: boolean; reflexive?: string; reflexive6?: string; local?: string } {
    const { reflexive, reflexive6 } = this.#nat, local = this.#local;
    return {
      symmetric: isSymmetric(this.#nat, this.#parts.config.relayOnly),
      ...(reflexive === undefined ? {} : { reflexive }),
      ...(reflexive6 === undefined ? {} : { reflexive6 }),
      ...(local === undefined ? {} : { local }),
    };
  }

  /**
   * Chooses WireGuard's port and measures from it, before WireGuard has it.
   *
   * @throws {AgentError} when the port cannot be had
   */
  async measure(remembered: Remembered): Promise<void> {
    const { config, doors } = this.#parts;
    const facts = await measureHost(config, doors, remembered);
    this.#port = facts.port;
    this.#nat = facts.nat;
    this.#localIp = facts.localIp;
    this.#servers = facts.servers;
  }

  /** What a registration says; {@link registered} tells that it succeeded. */
  say(): Whereabouts {
    return this.#said = this.#whereabouts();
  }

  /** A registration made or changed a device: the token is for what changes from now on. */
  registered(token: string, { id, revision }: Pick<Device, "id" | "revision">): void {
    this.#publisher.registered(token, id, this.#said ?? this.#whereabouts(), revision);
    this.#publisher.want(this.#whereabouts());
  }

  /** The control plane tells of this host's device; undefined: it tells of none. */
  told(device: OwnRow | undefined): void {
    if (device !== undefined) this.#publisher.seen(device);
  }

  /** What a person should know of it. */
  notes(): string[] {
    const { rival } = this.#publisher.status();
    return rival === undefined ? [] : [
      `key: another host registers with this host's key, as ${rival.hostname || "?"} at ` +
      `${rival.address || "no address"}; end nexd on one of the two, remove its state directory ` +
      "and start it again",
    ];
  }

  /** Measures and publishes while WireGuard runs, until the signal aborts. Never throws. */
  async watch(signal: AbortSignal): Promise<void> {
    const { config, doors, keys, now, onPaths, tunnelRanges } = this.#parts;
    const ports = new SharedPort((port) => openRawPort({ port, mark: UNDERLAY_MARK }));
    const paths = this.#paths = new Paths({
      door: doors.pathProber,
      ...keys(),
      direct: !config.relayOnly,
      port: () => this.#port,
      openPort: (port) => ports.lease(port, "probe"),
      now,
      onNews: onPaths,
      tunnelRanges,
      ownEndpoints: () =>
        [this.#local, this.#nat.reflexive, this.#nat.reflexive6].filter(isEndpoint),
    });
    this.#watch = doors.natWatch({
      port: () => this.#port,
      servers: config.stunServers,
      tunnel: config.interfaceName,
      initial: this.#nat,
      initialServers: this.#servers,
      ...(config.stunInterval === undefined ? {} : { period: config.stunInterval }),
      inTunnel: (address) => this.#inTunnel(address),
      openPort: (port) => ports.lease(port, "stun"),
      onChange: (nat) => {
        const before = this.#nat;
        this.#nat = nat;
        if (before.reflexive !== nat.reflexive || before.reflexive6 !== nat.reflexive6) {
          this.#parts.onMoved();
          paths.moved();
        }
        this.#changed();
      },
      onMoved: () => {
        paths.moved();
        void this.#askLocal();
      },
    });
    await Promise.all([this.#watch.run(signal), paths.run(signal)]);
    await this.#asking;
  }

  /** Probes of the paths to peers; undefined before WireGuard runs. */
  get paths(): Paths | undefined {
    return this.#paths;
  }

  /** What status tells; undefined before WireGuard runs. */
  status(): NetcheckStatus | undefined {
    return this.#watch &&
      netcheckStatus(this.#watch.status(), this.#publisher.status(), this.#paths?.refused);
  }

  /** Ends publishing. */
  close(): Promise<void> {
    return this.#publisher.close();
  }

  get #local(): string | undefined {
    return this.#localIp === undefined ? undefined : endpointOf(this.#localIp, this.#port);
  }

  #whereabouts(): Whereabouts {
    return whereaboutsOf(this.#local, this.#nat, this.#parts.config.relayOnly);
  }

  #changed(): void {
    this.#publisher.want(this.#whereabouts());
    this.#parts.onChange();
  }

  /** The address in the local network, anew; an old one is kept while there is none. */
  #askLocal(): Promise<void> {
    return this.#asking ??= this.#parts.doors.localEndpoint(this.#parts.config.localEndpointIp)
      .then((ip) => {
        if (ip === this.#localIp || this.#inTunnel(ip)) return;
        log.info("local address: {ip}", { ip });
        this.#localIp = ip;
        this.#parts.onMoved();
        this.#changed();
      })
      .catch((error) => log.debug("no local address: {reason}", { reason: reasonOf(error) }))
      .finally(() => {
        this.#asking = undefined;
      });
  }

  #inTunnel(text: string): boolean {
    const address = parsePrefix(text);
    return address !== undefined &&
      rangesOf(this.#parts.tunnelRanges()).some((range) => contains(range, address));
  }
}
